"""Links and agents that fail at random."""

import itertools

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.families import RANDOMNESS, edges, graph_of, members, ring

from dimat.randomness import Randomness
from dimat.topology import (
    Complete,
    DirectedRing,
    check_mixing_matrix,
)
from dimat.topology.failures import expected_square

FAILING = {"link_failures": 0.3, "agent_failures": 0.2}


@given(members(), st.integers(0, 99))
def test_matrices_with_failures_keep_what_makes_them_mix(member, time):
    graph, agents = member
    failing = graph.model_copy(update=FAILING)
    matrix = failing.mixing_at(agents, time, RANDOMNESS)
    check_mixing_matrix(matrix, graph.directed)
    assert graph.directed or (matrix == matrix.T).all()
    whole = graph.mixing_at(agents, time, RANDOMNESS)
    kept = ~numpy.eye(agents, dtype=bool) & (matrix != 0)
    assert (matrix[kept] == whole[kept]).all()
    numpy.testing.assert_array_equal(matrix, failing.mixing_at(agents, time, Randomness("test", 0)))


@pytest.mark.parametrize("name", ["chain", "exponential"])
def test_links_fail_as_often_as_they_should(name):
    graph = graph_of({"name": name, **FAILING})
    matrices = [graph.mixing_at(4, time, RANDOMNESS) for time in range(3000)]
    expected = graph.mixing_matrix(4) * 0.7 * 0.8**2
    expected[numpy.diag_indices(4)] += 1 - expected.sum(axis=0)
    numpy.testing.assert_allclose(numpy.mean(matrices, axis=0), expected, atol=0.02)
    assert len({matrix.tobytes() for matrix in matrices}) > 4


def test_an_agent_out_of_reach_keeps_its_values():
    graph = Complete(agent_failures=0.4)
    for time in range(20):
        matrix = graph.mixing_at(5, time, RANDOMNESS)
        reached = matrix.diagonal() < 1
        assert (matrix[numpy.ix_(reached, reached)] > 0).all()
        assert not matrix[numpy.ix_(reached, ~reached)].any()


def outcomes(matrix, directed, links, link, agent):
    """Every outcome of failures, by enumeration: (probability, matrix)."""
    agents = len(matrix)
    for reached in itertools.product([0, 1], repeat=agents):
        for holds in itertools.product([0, 1], repeat=len(links)):
            chances = [1 - agent if r else agent for r in reached] + [1 - link if h else link for h in holds]
            result = numpy.eye(agents)
            for (receiver, sender), hold in zip(links, holds, strict=True):
                weight = matrix[receiver, sender] * (hold and reached[receiver] and reached[sender])
                result[receiver, sender] += weight
                result[sender, sender] -= weight
                if not directed:
                    result[sender, receiver] += weight
                    result[receiver, receiver] -= weight
            yield numpy.prod(chances), result


def test_contraction_with_failures_by_enumeration():
    graph = edges((0, 1), (1, 2), (0, 2), (2, 3)).model_copy(update=FAILING)
    matrix = graph.mixing_matrix(4)
    moment = sum(chance * w @ w for chance, w in outcomes(matrix, False, graph.edges(4), 0.3, 0.2))
    numpy.testing.assert_allclose(expected_square(matrix, 0.3, 0.2), moment, atol=1e-12)
    factor = numpy.sqrt(numpy.linalg.norm(moment - 1 / 4, 2))
    assert graph.contraction(4) == pytest.approx(factor, abs=1e-12)
    assert ring().contraction(8) < ring(link_failures=0.1).contraction(8) < 1
    assert ring(link_failures=1e-12).contraction(8) == pytest.approx(ring().contraction(8))


def test_contraction_of_a_directed_graph_with_failures_by_enumeration():
    graph = DirectedRing(**FAILING)
    links = [(receiver, sender) for sender, receiver in graph.network(3).edges]
    squared = sum(
        chance * numpy.kron(w - w.mean(axis=1, keepdims=True), w - w.mean(axis=1, keepdims=True))
        for chance, w in outcomes(graph.mixing_matrix(3), True, links, 0.3, 0.2)
    )
    factor = numpy.sqrt(abs(numpy.linalg.eigvals(squared)).max())
    assert graph.contraction(3) == pytest.approx(factor, abs=0.03)


def test_contraction_of_a_sequence_with_failures():
    """Two periods' worth of the same graph: more than the mean suggests, no more than twice one step."""
    twice = graph_of({"name": "sequence", "graphs": ["ring", "ring"], "link_failures": 0.3})
    once = ring(link_failures=0.3).contraction(6)
    assert ring().contraction(6) < twice.contraction(6) <= once + 0.02
