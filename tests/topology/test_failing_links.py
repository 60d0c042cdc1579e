"""Links and agents that fail at random."""

import itertools

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.families import RANDOMNESS, edges, graph_of, members, ring
from support.small import SMALL

from dimat.errors import InputError
from dimat.experiment.config import Study
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
    check_mixing_matrix(matrix, graph.is_directed)
    assert graph.is_directed or (matrix == matrix.T).all()
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


# Links that fail one way.

ONE_WAY = {"link_failures": 0.3, "one_way": True}


def study_of(method, graph):
    return Study.model_validate(SMALL | {"graph": {"name": "ring", **graph}, "method": method})


@given(members(), st.integers(0, 99))
def test_one_way_failures_leave_columns_stochastic(member, time):
    graph, agents = member
    matrix = graph.model_copy(update=ONE_WAY | {"agent_failures": 0.2}).mixing_at(agents, time, RANDOMNESS)
    numpy.testing.assert_allclose(matrix.sum(axis=0), 1, atol=1e-12)
    assert (matrix >= 0).all()
    whole = graph.mixing_at(agents, time, RANDOMNESS)
    kept = ~numpy.eye(agents, dtype=bool) & (matrix != 0)
    assert (matrix[kept] == whole[kept]).all()


def test_one_way_failures_break_rows_and_take_one_direction_alone():
    graph = ring(**ONE_WAY)
    matrices = [graph.mixing_at(6, time, RANDOMNESS) for time in range(200)]
    rows = numpy.array([matrix.sum(axis=1) for matrix in matrices])
    assert abs(rows - 1).max() > 0.3
    numpy.testing.assert_allclose(rows.sum(axis=1), 6)
    alone = [(matrix[0, 1] > 0) != (matrix[1, 0] > 0) for matrix in matrices]
    assert 0.3 < numpy.mean(alone) < 0.55  # 2 x 0.3 x 0.7
    assert not graph.doubly_stochastic(6)
    assert ring(link_failures=0.3).doubly_stochastic(6)
    both = [ring(link_failures=0.3).mixing_at(6, time, RANDOMNESS) for time in range(50)]
    assert all((matrix == matrix.T).all() for matrix in both)


def test_one_way_failures_need_push_sum():
    for method in ("dpsgd", "wa"):
        with pytest.raises(InputError, match=r"fail one way; method .* expected one of: sgp"):
            for run in study_of(method, ONE_WAY).runs.values():
                run.check()
    for method, graph in (("sgp", ONE_WAY), ("dpsgd", {"link_failures": 0.3})):
        for run in study_of(method, graph).runs.values():
            run.check()


def test_one_way_without_link_failures_is_refused():
    with pytest.raises(ValidationError, match="expected link_failures above 0"):
        ring(one_way=True)
    with pytest.raises(ValidationError, match="expected link_failures above 0"):
        ring(one_way=True, agent_failures=0.1)


def test_contraction_of_one_way_failures_by_enumeration():
    graph = edges((0, 1), (1, 2)).model_copy(update=ONE_WAY)
    arcs = [arc for i, j in graph.edges(3) for arc in ((i, j), (j, i))]
    centre = numpy.eye(3) - 1 / 3
    squared = sum(
        chance * numpy.kron(centre @ w, centre @ w)
        for chance, w in outcomes(graph.mixing_matrix(3), True, arcs, 0.3, 0.0)
    )
    factor = numpy.sqrt(abs(numpy.linalg.eigvals(squared)).max())
    assert graph.contraction(3) == pytest.approx(factor, abs=0.03)
