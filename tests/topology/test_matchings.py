"""MATCHA: matchings, how often each is used, and how fast that mixes."""

import itertools

import networkx
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimat.errors import InputError
from dimat.topology.matchings import activation_probabilities, matchings, mixing_step, step_contraction


@given(st.integers(1, 16), st.floats(0, 1), st.integers(0, 10**6))
def test_matchings_are_disjoint_and_cover_the_graph(agents, density, seed):
    graph = networkx.gnp_random_graph(agents, density, seed)
    found = matchings(graph)
    assert len(found) <= 1 + max(degree for _, degree in graph.degree)
    assert sorted(edge for matching in found for edge in matching) == sorted(graph.edges)
    for matching in found:
        assert matching
        assert len({agent for edge in matching for agent in edge}) == 2 * len(matching)


LOLLIPOP = networkx.lollipop_graph(4, 3)


@pytest.mark.parametrize("budget", [0.2, 0.5, 0.8])
def test_matcha_spends_its_budget_better_than_evenly(budget):
    found = matchings(LOLLIPOP)
    probabilities = activation_probabilities(found, 7, budget)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert probabilities.sum() <= budget * len(found) + 1e-12
    even = numpy.full(len(found), budget)

    def connectivity(weights):
        graph = networkx.Graph()
        for weight, matching in zip(weights, found, strict=True):
            graph.add_weighted_edges_from((i, j, weight) for i, j in matching)
        return networkx.laplacian_spectrum(graph)[1]

    assert connectivity(probabilities) > connectivity(even) + 1e-3
    best = step_contraction(found, probabilities, 7, mixing_step(found, probabilities, 7))
    assert best < step_contraction(found, even, 7, mixing_step(found, even, 7)) < 1


def test_matcha_with_the_whole_budget_uses_every_link():
    found = matchings(LOLLIPOP)
    probabilities = activation_probabilities(found, 7, 1)
    assert probabilities.tolist() == [1.0] * len(found)
    spectrum = networkx.laplacian_spectrum(LOLLIPOP)
    step = mixing_step(found, probabilities, 7)
    assert step == pytest.approx(2 / (spectrum[1] + spectrum[-1]), abs=1e-6)  # the best constant weight
    expected = (spectrum[-1] - spectrum[1]) / (spectrum[-1] + spectrum[1])
    assert step_contraction(found, probabilities, 7, step) == pytest.approx(expected, abs=1e-6)


def test_the_contraction_of_matcha_by_enumeration():
    found = matchings(networkx.cycle_graph(4))
    assert len(found) == 2
    probabilities, step, moment = numpy.array([0.3, 0.9]), 0.4, numpy.zeros((4, 4))
    laplacians = [
        networkx.laplacian_matrix(networkx.Graph(matching), nodelist=range(4)).toarray() for matching in found
    ]
    for active in itertools.product([0, 1], repeat=2):
        chance = numpy.prod([p if a else 1 - p for p, a in zip(probabilities, active, strict=True)])
        matrix = numpy.eye(4) - step * sum(
            a * laplacian for a, laplacian in zip(active, laplacians, strict=True)
        )
        moment += chance * matrix @ matrix
    factor = numpy.sqrt(numpy.linalg.norm(moment - 1 / 4, 2))
    assert step_contraction(found, probabilities, 4, step) == pytest.approx(factor, abs=1e-12)
    assert step_contraction(found, probabilities, 4, mixing_step(found, probabilities, 4)) <= factor


@pytest.mark.parametrize("budget", [0, -1, 1.5, numpy.nan])
def test_impossible_budgets_are_refused(budget):
    with pytest.raises(InputError, match="budget"):
        activation_probabilities(matchings(LOLLIPOP), 7, budget)


def test_a_single_agent_has_no_matchings():
    assert matchings(networkx.empty_graph(1)) == []
    assert activation_probabilities([], 1, 0.5).tolist() == []
    assert mixing_step([], numpy.ones(0), 1) == 0
    assert step_contraction([], numpy.ones(0), 1, 0.0) == 0
