"""Closed forms of spectra against numerics."""

import numpy
import pytest
import sympy

from dimat.errors import InputError
from dimat.topology import (
    Chain,
    Complete,
    DirectedRing,
    EdgeList,
    Exponential,
    Hypercube,
    OnePeerExponential,
    Ring,
    Star,
    Torus,
    TwoHub,
    second_eigenvalue,
)
from theory.gap.spectra import exact_root, spectrum

ANY = [*range(1, 14), 16, 31, 64]
SIZES = {
    Ring(): ANY,
    Complete(): ANY,
    Star(): ANY,
    Chain(): ANY,
    TwoHub(): ANY[2:],
    Hypercube(): [1, 2, 4, 8, 16, 32, 64],
    Torus(): [4, 6, 8, 9, 10, 12, 15, 16, 25, 36, 42],
    Torus(rows=1): [1, 2, 3, 4, 7],
    Torus(rows=3): [3, 6, 9, 12, 30],
    DirectedRing(): ANY,
    Exponential(): ANY,
}


def moments(values, count):
    """sum_k lambda_k^p for p = 1 to ``count``: as many as there are values determine all of them."""
    powers = numpy.array(values, dtype=complex)[:, None] ** numpy.arange(1, count + 1)
    return powers.sum(axis=0)


@pytest.mark.parametrize("graph", SIZES, ids=lambda graph: graph.label())
def test_closed_forms_are_the_spectrum(graph):
    for agents in SIZES[graph]:
        values = [complex(value) for value in spectrum(graph, agents)]
        matrix = graph.mixing_matrix(agents)
        assert len(values) == agents and values[0] == 1
        power, traces = numpy.eye(agents), []
        for _ in range(agents):
            power = power @ matrix
            traces.append(numpy.trace(power))
        numpy.testing.assert_allclose(moments(values, agents), traces, atol=1e-10)
        exact = float(exact_root(graph, agents))
        assert second_eigenvalue(matrix) == pytest.approx(exact, abs=1e-12), agents
        if not graph.is_directed:
            found = numpy.linalg.eigvalsh(matrix)
            numpy.testing.assert_allclose(numpy.sort(numpy.real(values)), found, atol=1e-12)
            uniform = graph.model_copy(update={"weights": "uniform"})
            assert spectrum(uniform, agents) == spectrum(graph, agents)
            numpy.testing.assert_allclose(uniform.mixing_matrix(agents), matrix, atol=1e-15)


def test_the_exponential_graph_is_as_fast_as_published():
    """Ying et al. 2021 (arXiv 2110.13363), theorem 1: 1 - 2 / (1 + ceil(log2 N)) for an even N."""
    for agents in (2, 4, 6, 10, 16, 26):
        published = 1 - sympy.Rational(2, 1 + (agents - 1).bit_length())
        assert sympy.simplify(exact_root(Exponential(), agents) - published) == 0


def test_the_ring_of_five():
    assert float(exact_root(Ring(), 5)) == pytest.approx((1 + 5**0.5) / 6)


@pytest.mark.parametrize(
    "graph",
    [
        EdgeList(edge_list=[[0, 1], [1, 2], [2, 3]]),
        Ring(weights="fastest"),
        OnePeerExponential(),
    ],
    ids=lambda graph: graph.label(),
)
def test_without_a_closed_form_there_is_none(graph):
    assert spectrum(graph, 4) is None
    assert exact_root(graph, 4) is None


@pytest.mark.parametrize(
    ("graph", "agents"),
    [(Hypercube(), 6), (Torus(), 7), (TwoHub(), 2)],
)
def test_a_graph_that_does_not_exist_is_refused(graph, agents):
    with pytest.raises(InputError):
        spectrum(graph, agents)
