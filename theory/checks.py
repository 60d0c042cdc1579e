"""The checks: measured numbers, with 95 % intervals over seeds, against derived bounds."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy
from scipy import stats

from dimat.graphs import Complete, Graph, Ring, TwoHub
from dimat.graphs import second_eigenvalue as numeric_second_eigenvalue
from dimat.randomness import Randomness
from theory.derivations import GOSSIP
from theory.quadratic import Quadratic, run_gossip
from theory.spectra import second_eigenvalue

GRAPHS: tuple[Graph, ...] = (Ring(name="ring"), Complete(name="complete"), TwoHub(name="two_hub"))
AGENTS = (4, 8, 16)
SEEDS = 16
DIMENSIONS = 10
MERGES = 20
"""Merges in a row, without gradients, in the check of contraction."""
ROUND_OFF = 1e-12


@dataclass(frozen=True)
class Row:
    """One comparison: ``measured`` in its interval from ``low`` to ``high``, against ``bound``.

    An exact number is its own interval and has no ``seeds``. A ``control`` must be rejected.
    """

    claim: str
    statement: str
    quantity: str
    graph: str
    agents: int
    steps: int | None
    measured: float
    low: float
    high: float
    bound: float
    step_size: float | None = None
    seeds: int | None = None
    control: bool = False

    @property
    def holds(self) -> bool:
        """Whether the whole interval lies below the bound."""
        return self.high < self.bound

    @property
    def violated(self) -> bool:
        """Whether the whole interval lies above the bound; else, unless it holds, nothing is decided."""
        return self.low > self.bound

    @property
    def verdict(self) -> str:
        """The verdict in a word."""
        good, bad = ("accepted", "rejected") if self.control else ("holds", "violated")
        return good if self.holds else bad if self.violated else "undecided"

    @property
    def tightness(self) -> float:
        """Bound / measured: 1 where nothing is given away."""
        return self.bound / self.measured


def checks() -> list[Row]:
    """All checks."""
    return [*spectral_rows(), *contraction_rows(), *convergence_rows()]


def spectral_rows() -> Iterator[Row]:
    """Closed forms of sqrt(rho) against numerics: the difference is round-off."""
    for graph in GRAPHS:
        for agents in AGENTS:
            exact = float(second_eigenvalue(graph, agents))
            difference = abs(numeric_second_eigenvalue(graph.mixing_matrix(agents)) - exact)
            label, claim = graph.label(), ("spectrum", "sqrt(rho) has its closed form", "difference")
            yield Row(*claim, label, agents, None, *exactly(difference), ROUND_OFF)


def contraction_rows() -> Iterator[Row]:
    """Merging alone, from the slowest direction, where the bound holds with equality."""
    for graph in GRAPHS:
        for agents in AGENTS:
            root = float(second_eigenvalue(graph, agents))
            yield contraction_row(graph, graph.mixing_matrix(agents), root)


def contraction_row(graph: Graph, mixing: numpy.ndarray, root: float) -> Row:
    """Xi after `MERGES` merges with ``mixing`` against rho^MERGES Xi_0, with sqrt(rho) = ``root``."""
    values, vectors = numpy.linalg.eigh(mixing)
    slowest = vectors[:, numpy.argsort(abs(values))[-2]]
    after = numpy.linalg.matrix_power(mixing, MERGES) @ slowest
    ratio = float(after @ after / (slowest @ slowest))
    limit = root ** (2 * MERGES) * (1 + 1e-9) + ROUND_OFF**2
    claim = ("contraction", "Xi_k <= rho^k Xi_0", "Xi_k / Xi_0")
    return Row(*claim, graph.label(), len(mixing), MERGES, *exactly(ratio), limit)


def convergence_rows() -> Iterator[Row]:
    """Gossip on quadratics at two step sizes, the largest admissible one and a tenth, and two horizons."""
    for graph in GRAPHS:
        for agents in AGENTS:
            generator = Randomness("audit", 0).numpy(f"quadratic, {graph.label()}, {agents} agents")
            optima = 0.3 * generator.standard_normal((agents, DIMENSIONS))
            problem = Quadratic(numpy.full(DIMENSIONS, 2.0), optima, sigma=1.0)
            start = generator.standard_normal((agents, DIMENSIONS))
            for fraction in (1.0, 0.1):
                for steps in (20, 1000):
                    yield from gossip_rows(problem, graph, fraction, steps, start, generator)


def gossip_rows(
    problem: Quadratic,
    graph: Graph,
    fraction: float,
    steps: int,
    start: numpy.ndarray,
    generator: numpy.random.Generator,
    **claimed: float,
) -> tuple[Row, Row]:
    """The mean squared gradient and the mean disagreement of one setting, each against its bound.

    ``fraction`` is of the largest admissible step size. ``claimed`` replaces constants of the bound, by their
    symbols' names, as one who has them wrong would.
    """
    agents = len(start)
    mixing = graph.mixing_matrix(agents)
    root = numeric_second_eigenvalue(mixing)
    step_size = fraction * GOSSIP.largest_step_size(L=problem.smoothness, s=root)
    run = run_gossip(problem, mixing, step_size, steps, SEEDS, generator, start)
    constants = {
        "alpha": step_size,
        "L": problem.smoothness,
        "sigma": problem.sigma,
        "kappa": problem.heterogeneity,
        "N": agents,
        "K": steps,
        "s": root,
        "gap_0": run.gap_0,
        "Xi_0": run.disagreement_0,
    } | claimed
    gradient = interval(run.mean_squared_gradient)
    disagreement = interval(run.mean_disagreement)
    where, how = (graph.label(), agents, steps), (step_size, SEEDS)
    convergence = ("convergence", "bound of step 4", "mean |grad f|^2")
    consensus = ("disagreement", "bound of step 3", "mean Xi_k")
    return (
        Row(*convergence, *where, *gradient, GOSSIP.bound(**constants), *how),
        Row(*consensus, *where, *disagreement, GOSSIP.disagreement_bound(**constants), *how),
    )


def exactly(number: float) -> tuple[float, float, float]:
    """A number known without sampling, and both ends of its interval."""
    return number, number, number


def interval(sample: numpy.ndarray) -> tuple[float, float, float]:
    """The mean of a sample, and the ends of the 95 % t-interval around it."""
    mean = float(sample.mean())
    half = float(stats.t.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / len(sample) ** 0.5)
    return mean, mean - half, mean + half
