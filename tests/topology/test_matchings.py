"""MATCHA: matchings, how often each is used, and how fast that mixes."""

import itertools

import networkx
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimat.errors import InputError
from dimat.topology.matchings import (
    activation_probabilities,
    decompositions,
    matchings,
    mixing_step,
    plan,
    step_contraction,
)


@given(st.integers(1, 16), st.floats(0, 1), st.integers(0, 10**6))
def test_matchings_are_disjoint_and_cover_the_graph(agents, density, seed):
    graph = networkx.gnp_random_graph(agents, density, seed)
    found = list(decompositions(graph))
    assert found[0] == matchings(graph)
    assert len(found) == len({str(sorted(parts)) for parts in found})
    for parts in found:
        assert len(parts) <= 1 + max(degree for _, degree in graph.degree)
        assert sorted(edge for matching in parts for edge in matching) == sorted(graph.edges)
        for matching in parts:
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


def contraction(parts, agents, budget):
    """How fast the best use of a decomposition averages."""
    probabilities = activation_probabilities(parts, agents, budget)
    return step_contraction(parts, probabilities, agents, mixing_step(parts, probabilities, agents))


def planned(graph, budget):
    edges = tuple(sorted((min(edge), max(edge)) for edge in graph.edges))
    return plan(edges, len(graph), budget)


GRAPHS = {
    "ring": networkx.cycle_graph(8),
    "complete": networkx.complete_graph(6),
    "lollipop": LOLLIPOP,
    "random": networkx.gnp_random_graph(8, 0.4, 1),
    "scale-free": networkx.barabasi_albert_graph(10, 2, 1),
}


@pytest.mark.parametrize("budget", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_of_all_decompositions_that_are_tried_the_plan_has_the_fastest(graph, budget):
    found = planned(graph, budget)
    factor = step_contraction(found.matchings, found.probabilities, len(graph), found.step)
    tried = [contraction(parts, len(graph), budget) for parts in decompositions(graph)]
    assert factor <= min(tried) + 1e-6
    plan.cache_clear()
    again = planned(graph, budget)
    assert again.matchings == found.matchings
    assert again.probabilities.tolist() == found.probabilities.tolist()


def all_colourings(edges, colours):
    """Every division of ``edges`` into so many matchings at most."""
    if not edges:
        yield []
        return
    for parts in all_colourings(edges[1:], colours):
        for place, part in enumerate(parts):
            if not {agent for edge in part for agent in edge} & set(edges[0]):
                yield [*parts[:place], [edges[0], *part], *parts[place + 1 :]]
        if len(parts) < colours:
            yield [*parts, [edges[0]]]


@pytest.mark.parametrize(
    "graph",
    [networkx.lollipop_graph(3, 2), networkx.diamond_graph(), networkx.bull_graph(), networkx.house_graph()],
    ids=str,
)
def test_on_small_graphs_no_decomposition_at_all_is_faster(graph):
    most = 1 + max(degree for _, degree in graph.degree)
    found = planned(graph, 0.5)
    factor = step_contraction(found.matchings, found.probabilities, len(graph), found.step)
    best = min(contraction(parts, len(graph), 0.5) for parts in all_colourings(sorted(graph.edges), most))
    assert factor == pytest.approx(best, abs=2e-3)


def test_links_that_do_not_connect_are_used_alike():
    found = plan(((0, 1), (2, 3)), 4, 0.5)
    assert found.probabilities.tolist() == [0.5] * len(found.matchings)
    assert plan((), 3, 0.5).matchings == []


@pytest.mark.parametrize("budget", [0, -1, 1.5, numpy.nan])
def test_impossible_budgets_are_refused(budget):
    with pytest.raises(InputError, match="budget"):
        activation_probabilities(matchings(LOLLIPOP), 7, budget)


def test_a_single_agent_has_no_matchings():
    assert matchings(networkx.empty_graph(1)) == []
    assert activation_probabilities([], 1, 0.5).tolist() == []
    assert mixing_step([], numpy.ones(0), 1) == 0
    assert step_contraction([], numpy.ones(0), 1, 0.0) == 0
