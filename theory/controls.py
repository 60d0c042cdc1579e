"""Controls: checks with something corrupted on purpose. One that holds shows a check that sees nothing."""

from collections.abc import Iterator
from dataclasses import replace

import numpy

from dimat.graphs import Graph, second_eigenvalue
from dimat.randomness import Randomness
from theory.checks import DIMENSIONS, GRAPHS, Row, contraction_row, gossip_rows
from theory.quadratic import Quadratic

AGENTS = 8
STEPS = 2000
RING, COMPLETE, TWO_HUB = GRAPHS


def controls() -> list[Row]:
    """All controls; each must be rejected by itself."""
    return [*_of_contraction(), *_of_disagreement(), *_of_convergence()]


def _corrupted(row: Row, what: str) -> Row:
    return replace(row, statement=f"control: {what}", control=True)


def _of_contraction() -> Iterator[Row]:
    """The right matrix with a smaller rho, and a matrix that is not stochastic with the right rho."""
    for graph in (RING, TWO_HUB):
        mixing = graph.mixing_matrix(AGENTS)
        root = second_eigenvalue(mixing)
        yield _corrupted(contraction_row(graph, mixing, 0.9 * root), "sqrt(rho) smaller by a tenth")
        yield _corrupted(contraction_row(graph, 1.05 * mixing, root), "rows of Pi sum to 1.05")


def _of_disagreement() -> Iterator[Row]:
    """Optima along the ring's slowest direction, no noise: heterogeneity is at its worst."""
    values, vectors = numpy.linalg.eigh(RING.mixing_matrix(AGENTS))
    slowest = vectors[:, numpy.argsort(abs(values))[-2]]
    optima = numpy.outer(slowest, numpy.ones(DIMENSIONS))
    problem = Quadratic(numpy.full(DIMENSIONS, 2.0), optima, sigma=0.0)
    root = second_eigenvalue(RING.mixing_matrix(AGENTS))
    for what, claimed in {
        "a third of the heterogeneity": {"kappa": problem.heterogeneity / 3},
        "half of sqrt(rho)": {"s": root / 2},
    }.items():
        yield _corrupted(_from_origin(problem, RING, **claimed)[1], what)


def _of_convergence() -> Iterator[Row]:
    """From the common optimum only noise moves the agents: a bound that understates it must break."""
    problem = Quadratic(numpy.full(DIMENSIONS, 2.0), numpy.zeros((AGENTS, DIMENSIONS)), sigma=1.0)
    gradient, disagreement = _from_origin(problem, COMPLETE, sigma=problem.sigma / 3)
    yield _corrupted(gradient, "a third of the noise")
    yield _corrupted(disagreement, "a third of the noise")


def _from_origin(problem: Quadratic, graph: Graph, **claimed: float) -> tuple[Row, Row]:
    generator = Randomness("audit", 0).numpy("control")
    start = numpy.zeros((AGENTS, DIMENSIONS))
    return gossip_rows(problem, graph, 0.02, STEPS, start, generator, **claimed)
