"""Controls: checks with something corrupted on purpose. One that holds shows a check that sees nothing."""

from collections.abc import Iterator
from dataclasses import replace

import numpy
from numpy import ndarray

from dimat.agents.optimizers import Adam
from dimat.methods.cdsgd import Cdsgd
from dimat.randomness import Randomness
from dimat.topology import Graph, second_eigenvalue
from theory.checks import (
    RATE_AGENTS,
    RATE_SEEDS,
    RATE_STEPS,
    Row,
    bound_rows,
    contraction_row,
    equivalence_row,
    network_row,
    rate_row,
    spectral_row,
)
from theory.derivations import DERIVATIONS
from theory.gap import gap_controls
from theory.network_equivalence import AS_THEY_STAND
from theory.permutations import consistent, independent
from theory.problems import Problem, Quadratic, Separable
from theory.rates import exponents, mean_squared_gradients, noise_alone
from theory.settings import COMPLETE, DIMENSIONS, EXPONENTIAL, PUBLISHED, RING, TWO_HUB
from theory.spectra import second_eigenvalue as closed_form

AGENTS = 8
STEPS = 2000
LOCAL_STEPS = 5


def controls() -> list[Row]:
    """All controls; each must be rejected by itself."""
    return [
        *_of_spectra(),
        *_of_contraction(),
        *_of_heterogeneity(),
        *_of_noise(),
        *_of_the_initial_gap(),
        *_of_recursions(),
        *_of_equivalence(),
        *_of_rates(),
        *gap_controls(),
    ]


def _corrupted(row: Row, what: str) -> Row:
    return replace(row, statement=f"control: {what}", control=True)


def _of_spectra() -> Iterator[Row]:
    """The closed form of another number of agents."""
    for graph in PUBLISHED:
        if graph is not COMPLETE:
            other = float(closed_form(graph, AGENTS + 1))
            yield _corrupted(spectral_row(graph, AGENTS, other), "sqrt(rho) of one agent more")
    yield _corrupted(spectral_row(COMPLETE, AGENTS, 1e-9), "sqrt(rho) is 1e-9")


def _of_contraction() -> Iterator[Row]:
    """The right matrix with a smaller rho, and a matrix that is not stochastic with the right rho."""
    for graph in (RING, TWO_HUB):
        mixing = graph.mixing_matrix(AGENTS)
        root = second_eigenvalue(mixing)
        yield _corrupted(contraction_row(graph, mixing, 0.9 * root), "sqrt(rho) smaller by a tenth")
        yield _corrupted(contraction_row(graph, 1.05 * mixing, root), "rows of Pi sum to 1.05")


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
        yield _corrupted(_from_origin("gossip", problem, RING, **claimed)[1], what)


def _of_noise() -> Iterator[Row]:
    """From the common optimum only noise moves the agents: a bound that understates it must break."""
    problem = Quadratic(numpy.full(DIMENSIONS, 2.0), numpy.zeros((AGENTS, DIMENSIONS)), sigma=1.0)
    for row in _from_origin("gossip", problem, COMPLETE, sigma=problem.sigma / 3):
        yield _corrupted(row, "a third of the noise")
    for bound in ("adapt_then_combine", "local_steps", "momentum"):
        row = _from_origin(bound, problem, COMPLETE, sigma=problem.sigma / 3)[0]
        yield _corrupted(row, f"a third of the noise, {bound}")


def _of_the_initial_gap() -> Iterator[Row]:
    """Equal agents on a slope, without noise: the gap alone is to be paid for."""
    problem = Separable(numpy.ones(AGENTS), numpy.zeros(AGENTS), DIMENSIONS, sigma=0.0)
    start = numpy.full((AGENTS, DIMENSIONS), 0.2)
    third = float(problem.gap(start[:1])[0]) / 3
    for bound in DERIVATIONS:
        row = _from(start, bound, problem, COMPLETE, 1.0, gap_0=third)[0]
        yield _corrupted(row, f"a third of the initial gap, {bound}")


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
        for bound in ("gossip", "adapt_then_combine", "local_steps", "momentum"):
            for row in _from(start, bound, problem, COMPLETE, 0.1, links=links):
                if row.claim == "convergence" or links[0, 1] == 0:  # stretched, equal agents still agree
                    yield _corrupted(row, f"{what}, {bound}")


def _from_origin(bound: str, problem: Problem, graph: Graph, **claimed: float) -> list[Row]:
    return _from(numpy.zeros((AGENTS, DIMENSIONS)), bound, problem, graph, 0.02, **claimed)


def _from(
    start: ndarray, bound: str, problem: Problem, graph: Graph, fraction: float, **changed: float | ndarray
) -> list[Row]:
    local_steps = LOCAL_STEPS if bound == "local_steps" else 1
    randomness = Randomness("controls", 0)
    return bound_rows(
        bound, problem, graph, fraction, STEPS, start, randomness, local_steps=local_steps, **changed
    )


def _of_equivalence() -> Iterator[Row]:
    """Losses with an order of coordinates, permutations that close no cycle, and none at all."""
    generator = Randomness("controls", 0).numpy("equivalence")
    shape = (AGENTS, DIMENSIONS)
    start, mixing = generator.standard_normal(shape), RING.mixing_matrix(AGENTS)
    ordered = Quadratic(generator.uniform(0.5, 2, DIMENSIONS), generator.standard_normal(shape), sigma=1.0)
    alike = Separable(numpy.ones(AGENTS), generator.uniform(-1, 1, AGENTS), DIMENSIONS, sigma=1.0)
    method = Cdsgd(learning_rate=0.05)
    for what, problem, permuted in (
        ("the loss tells coordinates apart", ordered, consistent),
        ("permutations are inconsistent", alike, independent),
    ):
        lift = permuted(mixing, DIMENSIONS, generator)
        yield _corrupted(equivalence_row(method, problem, start, lift), what)
    yield _corrupted(network_row(Adam(), AS_THEY_STAND), "networks are not permuted back")


def _of_rates() -> Iterator[Row]:
    """A step size that does not grow with the number of agents, or shrink with that of steps."""
    for what, which, step_size in (
        ("the step size does not shrink with K", "K", lambda agents, steps: agents**0.5 / 50),
        ("the step size does not grow with N", "N", lambda agents, steps: steps**-0.5),
    ):
        found = mean_squared_gradients(
            noise_alone, EXPONENTIAL, RATE_STEPS, RATE_AGENTS, RATE_SEEDS, step_size
        )
        exponent = exponents(RATE_STEPS, RATE_AGENTS, found)["KN".index(which)]
        yield _corrupted(rate_row(which, exponent, EXPONENTIAL, "quadratic"), what)
