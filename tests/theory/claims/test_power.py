"""Which factors of bounds and terms rows reject; the page that shows them."""

from pathlib import Path

import pandas
import pytest

from dimat.topology import second_eigenvalue
from theory.bounds.compared import setting_rows
from theory.bounds.near_worst import BUILDERS, near_worst, wave
from theory.claims.power import COLUMNS, WHOLE, limits, rejection
from theory.claims.tightness_page import tightness_page
from theory.gap.graphs import RING
from theory.rows import Row
from theory.worst_case.rows import worst_case_rows
from theory.worst_case.stored import stored

PAGE = Path(__file__).parents[3] / "docs" / "tightness.md"
NUMBERS = {"measured": 3.0, "low": 2.5, "high": 3.5, "bound": 5.0}


def test_a_row_rejects_what_lies_below_its_interval():
    row = Row("c", "s", "q", "ring", 4, 1, **NUMBERS, terms=(("a", 4.0), ("b", 1.0), ("c", 0.0)))
    assert rejection(WHOLE, row).factor == 0.5
    assert rejection("a", row).factor == pytest.approx(1 - 2.5 / 4)  # 1.5 + 1 = 2.5
    assert rejection("b", row).factor < 0  # even without it, the bound is 4
    assert rejection("c", row) is None


def test_near_worst_cases_come_near():
    found = {}
    for setting in near_worst():
        if setting.problem != "noise":  # the longest
            for row in setting_rows(setting):
                key = (row.check, setting.problem)
                found[key] = max(found.get(key, 0), rejection(WHOLE, row).factor)
                assert row.holds and row.problem == setting.problem in BUILDERS
    assert found["convergence.adapt_then_combine", "slope"] == pytest.approx(1, abs=1e-4)
    assert found["convergence.adam", "slope"] == pytest.approx(2 / 3, abs=1e-2)
    for bound in ("adapt_then_combine", "local_steps"):
        assert found[f"disagreement.{bound}", "apart"] == pytest.approx(1)
    for bound in ("gossip", "adapt_then_combine", "momentum"):
        assert found[f"disagreement.{bound}", "maximum"] > 0.9
    assert all(factor > 0.1 for factor in found.values())


def test_no_worst_case_rejects_more_than_its_limit_and_the_nearest_reach_it():
    most, reached = limits(stored()), {}
    for row in worst_case_rows():
        for part in (WHOLE, *dict(row.terms)):
            found = rejection(part, row)
            if (
                (row.check, part) in most
                and found
                and dict(row.terms).get(part, row.bound) > 1e-6 * row.bound
            ):
                assert found.factor <= most[row.check, part] + 1e-9
            if part == WHOLE:
                reached[row.check] = max(reached.get(row.check, 0), found.factor)
    for rule, share in {"gossip": 0.71, "local_steps": 0.65, "momentum": 0.72}.items():
        check = f"convergence.{rule}"
        assert share < reached[check] <= most[check, WHOLE] < reached[check] + 0.01


@pytest.mark.parametrize("agents", [4, 8, 9])
def test_the_wave_is_as_slow_as_the_graph(agents):
    mixing, found = RING.mixing_matrix(agents), wave(agents)
    slow = second_eigenvalue(mixing)
    assert mixing @ found == pytest.approx(slow * found) and found.max() == 1


def test_the_page_has_what_is_stored():
    """The brackets of docs/tightness.md are those of the proofs, and its bounds those of the derivations."""
    page = tightness_page(stored(), pandas.DataFrame(columns=list(COLUMNS)))
    brackets = [line for line in page.splitlines() if "[" in line and line.startswith("|")]
    assert len(brackets) > 50
    written = PAGE.read_text(encoding="utf-8")
    assert all(line in written for line in brackets)
    assert page.split("| bound |")[0] == written.split("| bound |")[0]
