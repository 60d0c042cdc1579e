"""What the audit says of the spectral gap and of the mean over agents."""

from collections import Counter

import numpy

from theory.gap.counterexamples import gap_counterexample
from theory.gap.graphs import RING
from theory.gap.lift import Lift
from theory.gap.permutations import drifted
from theory.gap.readings import READINGS
from theory.gap.rows import CONSISTENT, gap_controls, gap_rows, in_frames, mean_controls, mean_rows


def test_no_reading_of_the_operator_lies_below_and_one_of_agents_does():
    rows = list(gap_rows())
    of_operators = [row for row in rows if row.statement.endswith("permutations")]
    assert len(of_operators) == 81
    assert Counter(row.verdict for row in of_operators) == {"equal": 45, "violated": 36}
    one, in_turn = (row for row in rows if row not in of_operators)
    assert (one.verdict, in_turn.verdict) == ("holds", "violated")
    for row in of_operators:
        closed = row.statement.endswith(tuple(f"{kind} permutations" for kind in CONSISTENT))
        assert row.verdict == "equal" or not closed, row


def test_how_agents_number_their_coordinates_changes_no_reading():
    """In frames, consistent permutations are none: no norm is larger for being taken in other coordinates."""
    mixing, generator = RING.mixing_matrix(5), numpy.random.default_rng(0)
    lift = drifted(mixing, 6, 0.5, generator)
    orders = [generator.permutation(6) for _ in range(5)]
    back = [numpy.argsort(order) for order in orders]
    renamed = Lift(mixing, {(i, j): orders[j][order[back[i]]] for (i, j), order in lift.permutations.items()})
    for reading in READINGS[:3]:
        assert abs(reading.of(in_frames(lift)) - reading.of(in_frames(renamed))) < 1e-9
    assert abs(READINGS[1].of(lift) - READINGS[1].of(renamed)) > 1e-3


def test_the_mean_is_kept_where_cycles_close():
    rows = list(mean_rows())
    kept = {row.statement for row in rows if row.verdict == "holds"}
    assert kept == {f"the mean over agents is kept, {kind} permutations" for kind in CONSISTENT}
    assert min(row.agents for row in rows if row.verdict == "violated") == 3


def test_controls_are_rejected():
    assert [row.verdict for row in (*gap_controls(), *mean_controls())] == ["rejected"] * 3


def test_the_smallest_counterexample_of_the_gap_is_that_of_the_eigenvalues():
    found = gap_counterexample()
    assert (found.lift.agents, found.lift.size) == (3, 2)
    values = numpy.sort(abs(numpy.linalg.eigvalsh(found.lift.operator().toarray())))
    assert abs(values[-2] - 2 / 3) < 1e-12  # the lift is a ring of 6
    assert "spec(W)  = -0.3333, 0.0000, 0.0000, 0.6667, 0.6667, 1.0000" in str(found)
