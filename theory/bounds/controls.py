"""Controls of the bounds: comparisons in which something is corrupted on purpose."""

from collections.abc import Iterator

import numpy
from numpy import ndarray

from dimat.randomness import Randomness
from dimat.topology import Graph, second_eigenvalue
from theory.bounds.compared import compared
from theory.bounds.derivations import DERIVATIONS
from theory.gap.graphs import COMPLETE, RING
from theory.problems import Problem, Quadratic, Separable
from theory.problems.problem import DIMENSIONS
from theory.rows import Row

AGENTS, STEPS = 8, 2000


def bound_controls() -> Iterator[Row]:
    """Constants that are claimed too small, and merges that are none."""
    yield from _of_heterogeneity()
    yield from _of_noise()
    yield from _of_the_initial_gap()
    yield from _of_recursions()


def _of_heterogeneity() -> Iterator[Row]:
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
        yield _from_origin("gossip", problem, RING, **claimed)[1].as_control(what)


def _of_noise() -> Iterator[Row]:
    """From the common optimum only noise moves the agents: a bound that understates it must break."""
    problem = Quadratic(numpy.full(DIMENSIONS, 2.0), numpy.zeros((AGENTS, DIMENSIONS)), sigma=1.0)
    for key, bound in DERIVATIONS.items():
        if not bound.bounds_disagreement:
            continue  # what is left of different preconditioners hides the noise
        rows = _from_origin(key, problem, COMPLETE, sigma=problem.sigma / 3)
        for row in rows if key == "gossip" else rows[:1]:
            yield row.as_control("a third of the noise" + f", {key}" * (key != "gossip"))


def _of_the_initial_gap() -> Iterator[Row]:
    """Equal agents on a slope, without noise: the gap alone is to be paid for."""
    problem = Separable(numpy.ones(AGENTS), numpy.zeros(AGENTS), DIMENSIONS, sigma=0.0)
    start = numpy.full((AGENTS, DIMENSIONS), 0.2)
    third = float(problem.gap(start[:1])[0]) / 3
    for key in DERIVATIONS:
        row = _from(start, key, problem, COMPLETE, 1.0, gap_0=third)[0]
        yield row.as_control(f"a third of the initial gap, {key}")


def _of_recursions() -> Iterator[Row]:
    """Agents that never merge, and a matrix that is not stochastic, where a merge is claimed.

    Half of the agents are four times slower, so that the mean of all optima is not the optimum of the mean.
    """
    problem = Separable(
        numpy.resize([1.0, 0.25], AGENTS), numpy.resize([1.0, -1.0], AGENTS), DIMENSIONS, sigma=1.0
    )
    middle = numpy.angle((problem.amplitudes * numpy.exp(1j * problem.phases)).mean())
    start = numpy.full((AGENTS, DIMENSIONS), middle)
    for what, links in {
        "agents do not merge": numpy.eye(AGENTS),
        "rows of Pi sum to 1.05": 1.05 * COMPLETE.mixing_matrix(AGENTS),
    }.items():
        for key, bound in DERIVATIONS.items():
            if not bound.bounds_disagreement:
                continue
            gradient, spread = _from(start, key, problem, COMPLETE, 0.1, links=links)
            yield gradient.as_control(f"{what}, {key}")
            if links[0, 1] == 0:  # stretched, equal agents still agree
                yield spread.as_control(f"{what}, {key}")


def _from_origin(key: str, problem: Problem, graph: Graph, **claimed: float) -> list[Row]:
    return _from(numpy.zeros((AGENTS, DIMENSIONS)), key, problem, graph, 0.02, links=None, **claimed)


def _from(
    start: ndarray,
    key: str,
    problem: Problem,
    graph: Graph,
    fraction: float,
    links: ndarray | None = None,
    **claimed: float,
) -> list[Row]:
    bound, randomness = DERIVATIONS[key], Randomness("controls", 0)
    given = ([bound], problem, graph, fraction, STEPS, start, randomness)
    return compared(*given, local_steps=bound.local_steps, links=links, **claimed)
