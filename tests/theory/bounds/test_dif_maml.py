"""Where Dif-MAML rests: the library's method stays there, and both bounds hold and see what is corrupted."""

import numpy
import pytest

from theory.bounds.dif_maml import AGENTS, GRAPHS, RATES, AdaptedQuadratics, AtRest, rest_controls, rest_rows
from theory.rows import ROUND_OFF


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
@pytest.mark.parametrize("rate", RATES)
def test_the_library_stays_where_it_is_computed_to_rest(graph, rate):
    task, mixing = AdaptedQuadratics(), graph.mixing_matrix(AGENTS)
    found = AtRest.found(task, mixing, rate, "mixing")
    assert abs(found.points - task.rest(mixing, rate)).max() < 1e-12
    closed = numpy.einsum("iab,ib->ia", task.adapted, found.points - task.centers.numpy())
    assert abs(found.gradients - closed).max() < 1e-12
    assert abs(found.gradients.mean(0)).max() < ROUND_OFF / rate
    curved = numpy.linalg.eigvalsh(task.adapted)
    assert curved.min() > 0


def test_both_bounds_hold_on_every_graph_and_are_not_empty():
    rows = list(rest_rows())
    assert len(rows) == 2 * len(GRAPHS) * len(RATES)
    assert all(row.holds and row.measured > 1e-4 for row in rows)
    assert max(row.tightness for row in rows if row.check == "disagreement.dif_maml") < 5


def test_a_tenth_of_the_rate_gives_a_tenth_of_both():
    by_rate = {rate: [row for row in rest_rows() if row.step_size == rate] for rate in RATES}
    for large, small in zip(*by_rate.values(), strict=True):
        assert 5 < large.measured / small.measured < 12


def test_controls_are_rejected():
    controls = list(rest_controls())
    assert len(controls) == 3 and all(row.control and row.violated for row in controls)
