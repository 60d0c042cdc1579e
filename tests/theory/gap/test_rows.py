"""What the audit says of the spectral gap and of the mean over agents."""

import numpy

from theory.gap.counterexamples import gap_counterexample
from theory.gap.rows import gap_controls, gap_rows, mean_controls, mean_rows


def test_no_reading_of_the_operator_lies_below_and_one_of_agents_does():
    rows = list(gap_rows())
    of_operators = [row for row in rows if row.statement.endswith("permutations")]
    assert len(of_operators) == 80 and {row.verdict for row in of_operators} == {"violated"}
    one, in_turn = (row for row in rows if row not in of_operators)
    assert (one.verdict, in_turn.verdict) == ("holds", "violated")
    equal = {row.statement for row in of_operators if row.low == row.high == row.bound}
    assert {"eigenvalue, consistent permutations", "from the mean, no permutations"} <= equal
    assert "eigenvalue, independent permutations" not in {
        row.statement for row in of_operators if row.graph == "ring" and row.low == row.bound
    }


def test_the_mean_is_kept_without_permutations_only():
    rows = list(mean_rows())
    kept = {row.statement for row in rows if row.verdict == "holds"}
    assert kept == {"the mean over agents is kept, no permutations"}
    assert min(row.agents for row in rows if row.verdict == "violated") == 2


def test_controls_are_rejected():
    assert [row.verdict for row in (*gap_controls(), *mean_controls())] == ["rejected"] * 3


def test_the_smallest_counterexample_of_the_gap_is_that_of_the_eigenvalues():
    found = gap_counterexample()
    assert (found.lift.agents, found.lift.size) == (3, 2)
    values = numpy.sort(abs(numpy.linalg.eigvalsh(found.lift.operator().toarray())))
    assert abs(values[-2] - 2 / 3) < 1e-12  # the lift is a ring of 6
    assert "spec(W)  = -0.3333, 0.0000, 0.0000, 0.6667, 0.6667, 1.0000" in str(found)
