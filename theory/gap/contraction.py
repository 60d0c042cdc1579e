"""How fast merging averages: closed forms of sqrt(rho), and of many merges, against numerics."""

from collections.abc import Iterator

import numpy
from numpy import ndarray

from dimat.topology import Graph, second_eigenvalue
from theory.gap.graphs import COMPLETE, OTHERS, PUBLISHED, RING, TWO_HUB
from theory.gap.spectra import exact_root
from theory.rows import ROUND_OFF, Row, exactly

AGENTS = (4, 8, 16)
OF_CONTROLS = 8
MERGES = 20
"""Merges in a row, without gradients."""


def spectral_rows() -> Iterator[Row]:
    """Closed forms of sqrt(rho) against numerics: the difference is round-off."""
    for graph in (*PUBLISHED, *OTHERS):
        for agents in AGENTS:
            yield _spectral_row(graph, agents, _exact(graph, agents))


def spectral_controls() -> Iterator[Row]:
    """The closed form of another number of agents."""
    for graph in PUBLISHED:
        if graph is not COMPLETE:
            other = _exact(graph, OF_CONTROLS + 1)
            yield _spectral_row(graph, OF_CONTROLS, other).as_control("sqrt(rho) of one agent more")
    yield _spectral_row(COMPLETE, OF_CONTROLS, 1e-9).as_control("sqrt(rho) is 1e-9")


def _exact(graph: Graph, agents: int) -> float:
    """sqrt(rho) of a graph that has a closed form."""
    root = exact_root(graph, agents)
    assert root is not None
    return float(root)


def _spectral_row(graph: Graph, agents: int, exact: float) -> Row:
    """The distance of the numeric sqrt(rho) from ``exact``."""
    apart = abs(second_eigenvalue(graph.mixing_matrix(agents)) - exact)
    said = ("spectrum", "sqrt(rho) has its closed form", "difference")
    return Row(*said, graph.label(), agents, None, *exactly(apart), ROUND_OFF)


def contraction_rows() -> Iterator[Row]:
    """Merging alone, from the slowest direction, where the bound holds with equality."""
    for graph in PUBLISHED:
        for agents in AGENTS:
            yield _contraction_row(graph, graph.mixing_matrix(agents), _exact(graph, agents))


def contraction_controls() -> Iterator[Row]:
    """The right matrix with a smaller rho, and a matrix that is not stochastic with the right rho."""
    for graph in (RING, TWO_HUB):
        mixing = graph.mixing_matrix(OF_CONTROLS)
        root = second_eigenvalue(mixing)
        yield _contraction_row(graph, mixing, 0.9 * root).as_control("sqrt(rho) smaller by a tenth")
        yield _contraction_row(graph, 1.05 * mixing, root).as_control("rows of Pi sum to 1.05")


def _contraction_row(graph: Graph, mixing: ndarray, root: float) -> Row:
    """Xi after `MERGES` merges with ``mixing`` against rho^MERGES Xi_0, with sqrt(rho) = ``root``."""
    values, vectors = numpy.linalg.eigh(mixing)
    slowest = vectors[:, numpy.argsort(abs(values))[-2]]
    after = numpy.linalg.matrix_power(mixing, MERGES) @ slowest
    ratio = float(after @ after / (slowest @ slowest))
    limit = root ** (2 * MERGES) * (1 + 1e-9) + ROUND_OFF**2
    said = ("contraction", "Xi_k <= rho^k Xi_0", "Xi_k / Xi_0")
    return Row(*said, graph.label(), len(mixing), MERGES, *exactly(ratio), limit)
