"""Communication graphs and their mixing matrices."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimat.errors import InputError
from dimat.graphs import (
    Complete,
    EdgeList,
    Ring,
    TwoHub,
    check_mixing_matrix,
    second_eigenvalue,
    spectral_gap,
)
from dimat.network.in_process import InProcess

WEIGHTS = ["metropolis", "uniform"]
FAMILIES = [(Ring, "ring"), (Complete, "complete"), (TwoHub, "two_hub")]


def neighbours_by_formula(name, agents, agent):
    if name == "ring":
        return {(agent - 1) % agents, (agent + 1) % agents} - {agent}
    if name == "complete":
        return set(range(agents)) - {agent}
    hubs = {agents - 2, agents - 1}
    return set(range(agents)) - hubs if agent in hubs else hubs


def edges(*pairs):
    return EdgeList(name="edges", edge_list=[list(pair) for pair in pairs])


@pytest.mark.parametrize(("family", "name"), FAMILIES)
@pytest.mark.parametrize("weights", WEIGHTS)
@given(st.integers(3, 24))
def test_mixing_matrices_of_every_family(family, name, weights, agents):
    matrix = family(name=name, weights=weights).mixing_matrix(agents)
    assert matrix.shape == (agents, agents)
    assert (matrix == matrix.T).all()
    numpy.testing.assert_allclose(matrix.sum(axis=0), 1, atol=1e-12)
    numpy.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    assert (matrix > -1e-15).all()
    for agent in range(agents):
        linked = set(numpy.flatnonzero(matrix[agent]).tolist()) - {agent}
        assert linked == neighbours_by_formula(name, agents, agent)
        assert set(InProcess(matrix).neighbours(agent)) == linked
        assert matrix[agent, agent] >= 1 / agents - 1e-12  # degrees are at most N - 1


@given(st.integers(3, 30))
def test_eigenvalues_of_the_ring(agents):
    matrix = Ring(name="ring", weights="uniform").mixing_matrix(agents)
    others = [abs(1 + 2 * numpy.cos(2 * numpy.pi * k / agents)) / 3 for k in range(1, agents)]
    assert second_eigenvalue(matrix) == pytest.approx(max(others), abs=1e-12)
    assert spectral_gap(matrix) == pytest.approx(1 - max(others), abs=1e-12)
    numpy.testing.assert_allclose(Ring(name="ring").mixing_matrix(agents), matrix)  # a regular graph


@pytest.mark.parametrize("weights", WEIGHTS)
@given(st.integers(1, 30))
def test_the_complete_graph_averages_in_one_step(weights, agents):
    matrix = Complete(name="complete", weights=weights).mixing_matrix(agents)
    numpy.testing.assert_allclose(matrix, 1 / agents, atol=1e-12)
    assert second_eigenvalue(matrix) == pytest.approx(0, abs=1e-12)


@given(st.integers(2, 20), st.integers(0, 99))
def test_the_second_eigenvalue_is_the_contraction_of_a_gossip_step(agents, seed):
    matrix = Ring(name="ring").mixing_matrix(agents)
    values = numpy.random.default_rng(seed).normal(size=agents)
    before = numpy.linalg.norm(values - values.mean())
    after = numpy.linalg.norm(matrix @ values - values.mean())
    assert after <= second_eigenvalue(matrix) * before + 1e-12


def test_a_negative_eigenvalue_counts_with_its_magnitude():
    assert second_eigenvalue(numpy.array([[0.1, 0.9], [0.9, 0.1]])) == pytest.approx(0.8)


def test_metropolis_on_two_hubs_by_hand():
    """Five agents: leaves 0, 1, 2 of degree 2, hubs 3, 4 of degree 3; so 1/4 on every edge."""
    quarter = TwoHub(name="two_hub").mixing_matrix(5) * 4
    expected = [[2, 0, 0, 1, 1], [0, 2, 0, 1, 1], [0, 0, 2, 1, 1], [1, 1, 1, 1, 0], [1, 1, 1, 0, 1]]
    numpy.testing.assert_allclose(quarter, expected, atol=1e-12)


def test_metropolis_and_uniform_on_a_path_with_a_star_by_hand():
    """Degrees 1, 3, 1, 2, 1: edge 3-4 weighs 1/3 by Metropolis and 1/4 by the largest degree."""
    graph = [(0, 1), (1, 2), (1, 3), (3, 4)]
    metropolis = edges(*graph).mixing_matrix(5)
    uniform = EdgeList(name="edges", edge_list=graph, weights="uniform").mixing_matrix(5)
    assert metropolis[0, 1] == metropolis[1, 3] == uniform[0, 1] == uniform[3, 4] == 1 / 4
    assert metropolis[3, 4] == metropolis[4, 3] == 1 / 3
    numpy.testing.assert_allclose(metropolis.diagonal(), [3 / 4, 1 / 4, 3 / 4, 5 / 12, 2 / 3])
    numpy.testing.assert_allclose(uniform.diagonal(), [3 / 4, 1 / 4, 3 / 4, 1 / 2, 3 / 4])


@pytest.mark.parametrize("graph", [Ring(name="ring"), Complete(name="complete")], ids=str)
def test_a_single_agent_keeps_everything(graph):
    matrix = graph.mixing_matrix(1)
    assert matrix.tolist() == [[1.0]]
    assert second_eigenvalue(matrix) == 0
    assert InProcess(matrix).neighbours(0) == []


def test_two_agents_on_a_ring_share_one_edge():
    assert Ring(name="ring").mixing_matrix(2).tolist() == [[0.5, 0.5], [0.5, 0.5]]


@given(st.permutations([(0, 1), (1, 2), (2, 3), (3, 0)]), st.booleans())
def test_an_edge_list_in_any_order_and_direction(order, reverse):
    listed = [(j, i) if reverse else (i, j) for i, j in order]
    numpy.testing.assert_array_equal(edges(*listed).mixing_matrix(4), Ring(name="ring").mixing_matrix(4))


def test_an_edge_listed_twice_counts_once():
    numpy.testing.assert_array_equal(edges((0, 1), (1, 0)).mixing_matrix(2), [[0.5, 0.5], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("graph", "agents", "word"),
    [
        (edges((0, 1), (2, 3)), 4, "disconnected"),
        (edges((0, 1)), 3, "disconnected"),
        (edges((0, 0)), 2, "edge_list"),
        (edges((0, 2)), 2, "edge_list"),
        (edges((-1, 0)), 2, "edge_list"),
        (edges((0, 1, 2)), 3, "edge_list"),
        (edges((0, 1, 1)), 3, "edge_list"),
        (TwoHub(name="two_hub"), 2, "agents"),
        (TwoHub(name="two_hub"), 1, "agents"),
    ],
)
def test_impossible_graphs_are_refused(graph, agents, word):
    with pytest.raises(InputError, match=word):
        graph.mixing_matrix(agents)


def corrupted(row, column, change):
    matrix = Ring(name="ring").mixing_matrix(5)
    matrix[row, column] += change
    return matrix


@pytest.mark.parametrize(
    ("matrix", "word"),
    [
        (corrupted(0, 1, 1e-6), "not symmetric"),
        (corrupted(2, 2, 1e-6), "not stochastic"),
        (corrupted(2, 2, -1e-9), "not stochastic"),
        (corrupted(1, 1, numpy.nan), ""),
        (numpy.array([[1.5, -0.5], [-0.5, 1.5]]), "negative"),
        (numpy.array([[0.5, 0.5], [1.0, 0.0]]), "not symmetric"),
        (numpy.ones((3, 3)), "not stochastic"),
        (numpy.zeros((3, 3)), "not stochastic"),
    ],
)
def test_corrupted_mixing_matrices_are_refused(matrix, word):
    with pytest.raises(InputError, match=f"mixing matrix.*{word}"):
        check_mixing_matrix(matrix)


def test_round_off_in_a_mixing_matrix_is_tolerated():
    check_mixing_matrix(corrupted(2, 2, 1e-15))


@given(st.integers(1, 10), st.integers(0, 99))
def test_any_average_of_symmetric_permutations_is_accepted(agents, seed):
    generator = numpy.random.default_rng(seed)
    swaps = [numpy.eye(agents)[generator.permutation(agents)] for _ in range(3)]
    check_mixing_matrix(sum(matrix + matrix.T for matrix in swaps) / 6)
