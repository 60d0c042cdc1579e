"""What is measured of the first merges of real networks."""

import numpy
import pandas
import pytest
import torch
from support.recorded import a_run, runs_of

from dimat.communication.in_process import InProcess
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.neighbours import match_neighbours
from dimat.merging.matching.options import Matching
from dimat.merging.matching.weight import Weight
from dimat.topology import Complete, Ring
from theory.gap.holonomy import ALL, COLUMNS, measure_merge, measured_gap_rows
from theory.gap.permutations import of_parameters


def test_networks_that_are_shuffled_copies_are_matched_back(make_agents, randomize):
    agents = make_agents(agents=3, pretrain_epochs=0)
    for row in range(3):
        agents.models[row].load_state_dict(randomize(agents.models[0], 1).state_dict())
        shuffled = numpy.random.default_rng(row)
        orders = {group.name: shuffled.permutation(group.size) for group in agents.symmetry}
        agents.reorder(row, {name: torch.from_numpy(order) for name, order in orders.items()})
    rows = measure_merge(agents, Ring().mixing_matrix(3), Matching(matcher=Weight()), Calibration())
    for row in rows:
        assert row.closed_share == 1 and row.orbits == row.size
        assert abs(row.eigenvalue - row.root) < 1e-12
    *layers, whole = rows
    assert {row.relation for row in rows} == {"equal"} and whole.layer == ALL
    assert len(layers) == 2
    assert whole.disagreement_before > 0.1 and whole.disagreement_after < 1e-9
    assert whole.size == sum(parameter.numel() for parameter in agents.models[0].parameters())
    assert whole.links == 6


def test_networks_trained_apart_have_holonomy(make_agents):
    agents = make_agents(agents=4, pretrain_epochs=1)
    agents.pretrain(0)
    given = (agents, Complete().mixing_matrix(4), Matching(), Calibration())
    rows = measure_merge(*given)
    assert measure_merge(*given) == rows  # measuring leaves the networks as they are
    *layers, whole = rows
    assert all(row.relation == "above" and row.root <= row.low <= row.eigenvalue + 1e-9 for row in rows)
    assert all(row.orbits < row.size for row in rows)
    assert whole.eigenvalue >= max(row.eigenvalue for row in layers) - 1e-6
    frame = pandas.DataFrame([{"run": "dimat-0"} | vars(row) for row in rows], columns=COLUMNS)
    found = list(measured_gap_rows(runs_of(a_run("dimat", 0)), frame))
    assert [(row.check, row.verdict) for row in found] == [("spectral-gap", "violated")] * len(rows)
    assert found[0].problem == f"d, plain, {layers[0].layer}; IID, DIMAT, seed 0"


@pytest.mark.parametrize("graph", [Ring(), Complete()])
def test_links_that_each_end_matches_for_itself_have_an_eigenvalue_over_all_parameters(make_agents, graph):
    """On its own images an agent sees other matches than its neighbour: W is not symmetric."""
    agents = make_agents(agents=4, pretrain_epochs=1)
    agents.pretrain(0)
    mixing, own = graph.mixing_matrix(4), Calibration(images="own", limit=40)
    *layers, whole = measure_merge(agents, mixing, Matching(), own)
    for row in (*layers, whole):
        assert row.relation == "above" and row.root < row.low <= row.high <= row.eigenvalue + 1e-4
    assert whole.eigenvalue >= max(row.eigenvalue for row in layers) - 1e-4
    found = match_neighbours(agents, InProcess(mixing), Matching(), own, 1).permutations
    state = dict(agents.models[0].named_parameters())
    lift = of_parameters(mixing, found, agents.symmetry, state, inverse=False)
    assert not lift.symmetric
    moduli = numpy.sort(abs(numpy.linalg.eigvals(lift.operator().toarray())))[::-1]
    assert whole.eigenvalue == pytest.approx(moduli[lift.capacity], abs=1e-3)
