"""The audit: measured numbers against derived bounds, with controls that must fail.

A check compares the upper end of a 95 % interval over seeds with a bound. A *control* is the same check
with something corrupted on purpose; an audit in which a control passes is worth nothing and raises.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy
from scipy import stats

from dimat.errors import InputError
from dimat.graphs import Complete, Graph, Ring, TwoHub, check_mixing_matrix
from dimat.graphs import second_eigenvalue as numeric_second_eigenvalue
from dimat.randomness import Randomness
from theory.gossip_bound import bound, derivation, largest_step_size
from theory.quadratic import Quadratic, run_gossip
from theory.spectra import second_eigenvalue

GRAPHS: tuple[Graph, ...] = (Ring(name="ring"), Complete(name="complete"), TwoHub(name="two_hub"))
AGENTS = (4, 8, 16)
SEEDS = 16
DIMENSIONS = 10
ROUND_OFF = 1e-12


class AuditError(RuntimeError):
    """The audit itself is broken: a corrupted check passed, or a derivation step does not follow."""


@dataclass(frozen=True)
class Row:
    """One comparison: ``measured`` with the upper end ``high`` of its interval against ``bound``."""

    check: str
    graph: str
    agents: int
    step_size: float | None
    steps: int | None
    seeds: int | None
    measured: float
    high: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether the whole interval lies below the bound."""
        return self.high <= self.bound


def audit() -> list[Row]:
    """All checks; `AuditError` if a derivation step does not follow or a control is not rejected."""
    broken = [step.name for step in derivation() if not step.follows()]
    if broken:
        raise AuditError(f"the derivation does not follow at: {', '.join(broken)}")
    rows = [*spectral_rows(), *contraction_rows(), *convergence_rows()]
    for name, passed in controls().items():
        if passed:
            raise AuditError(f"control passed: {name}")
    return rows


def spectral_rows() -> Iterator[Row]:
    """Closed forms of sqrt(rho) against numerics: the difference is round-off."""
    for graph in GRAPHS:
        for agents in AGENTS:
            exact = float(second_eigenvalue(graph, agents))
            difference = abs(numeric_second_eigenvalue(graph.mixing_matrix(agents)) - exact)
            yield Row("spectrum", graph.label(), agents, None, None, None, difference, difference, ROUND_OFF)


def contraction_rows(corruption: float = 1.0) -> Iterator[Row]:
    """Merging alone: Xi after k merges is at most rho^k Xi_0, with equality in the slowest direction.

    ``corruption`` below 1 claims a smaller rho, as a tighter bound would.
    """
    merges = 20
    for graph in GRAPHS:
        for agents in AGENTS:
            mixing = graph.mixing_matrix(agents)
            values, vectors = numpy.linalg.eigh(mixing)
            slowest = vectors[:, numpy.argsort(abs(values))[-2]]
            after = numpy.linalg.matrix_power(mixing, merges) @ slowest
            ratio = float(after @ after / (slowest @ slowest))
            root = numeric_second_eigenvalue(mixing) * corruption
            limit = root ** (2 * merges) * (1 + 1e-9) + ROUND_OFF**2
            yield Row("contraction", graph.label(), agents, None, merges, None, ratio, ratio, limit)


def convergence_rows() -> Iterator[Row]:
    """The mean squared gradient over K steps against the derived bound, on quadratics."""
    for graph in GRAPHS:
        for agents in AGENTS:
            generator = Randomness("audit", 0).numpy(f"quadratic, {graph.label()}, {agents} agents")
            optima = 0.3 * generator.standard_normal((agents, DIMENSIONS))
            problem = Quadratic(numpy.full(DIMENSIONS, 2.0), optima, sigma=1.0)
            start = generator.standard_normal((agents, DIMENSIONS))
            for fraction in (1.0, 0.1):
                for steps in (20, 1000):
                    yield convergence_row(problem, graph, fraction, steps, start, generator)


def convergence_row(
    problem: Quadratic,
    graph: Graph,
    fraction: float,
    steps: int,
    start: numpy.ndarray,
    generator: numpy.random.Generator,
    claimed_noise: float | None = None,
) -> Row:
    """One setting: a step size of ``fraction`` of the largest admissible one, ``steps`` steps.

    ``claimed_noise`` is the sigma of the bound, the problem's own by default.
    """
    agents = len(start)
    mixing = graph.mixing_matrix(agents)
    root = numeric_second_eigenvalue(mixing)
    step_size = fraction * largest_step_size(problem.smoothness, root)
    run = run_gossip(problem, mixing, step_size, steps, SEEDS, generator, start)
    mean = float(run.mean_squared_gradient.mean())
    error = run.mean_squared_gradient.std(ddof=1) / SEEDS**0.5
    limit = bound(
        step_size,
        problem.smoothness,
        problem.sigma if claimed_noise is None else claimed_noise,
        problem.heterogeneity,
        agents,
        steps,
        root,
        run.gap_0,
        run.disagreement_0,
    )
    high = mean + float(stats.t.ppf(0.975, SEEDS - 1) * error)
    return Row("convergence", graph.label(), agents, step_size, steps, SEEDS, mean, high, limit)


def controls() -> dict[str, bool]:
    """Corrupted checks by name, and whether each passed; none may."""
    # From the common optimum only noise moves the agents: a bound that understates it must break.
    noisy = Quadratic(numpy.full(DIMENSIONS, 2.0), numpy.zeros((4, DIMENSIONS)), sigma=1.0)
    generator = Randomness("audit", 0).numpy("control")
    understated = convergence_row(
        noisy, GRAPHS[1], 0.02, 2000, numpy.zeros((4, DIMENSIONS)), generator, claimed_noise=1 / 3
    )
    slow = [row for row in contraction_rows(corruption=0.9) if row.graph != "complete"]
    return {
        "contraction with a smaller rho": all(row.holds for row in slow),
        "convergence with a third of the noise": understated.holds,
        "a mixing matrix whose rows do not sum to 1": _accepted(numpy.full((3, 3), 0.3)),
        "a mixing matrix that is not symmetric": _accepted(numpy.array([[0.5, 0.5], [0.2, 0.8]])),
    }


def _accepted(matrix: numpy.ndarray) -> bool:
    try:
        check_mixing_matrix(matrix)
    except InputError:
        return False
    return True
