"""The checks: measured numbers, with 95 % intervals over seeds, against derived bounds."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy
import torch
from numpy import ndarray

from dimat.agents.optimizers import Adam, AnyOptimizer, Momentum, Sgd
from dimat.merging.options import Merge
from dimat.methods.cdmsgd import Cdmsgd
from dimat.methods.cdsgd import Cdsgd
from dimat.methods.every_step import Synchronous
from dimat.randomness import Randomness
from dimat.topology import Graph
from dimat.topology import second_eigenvalue as numeric_second_eigenvalue
from theory.bounds import Claim
from theory.equivalence import difference
from theory.gossip_adam import GossipAdam
from theory.lift import Lift
from theory.network_equivalence import AGENTS as NETWORKS
from theory.network_equivalence import ALIGNED, network_difference
from theory.permutations import consistent
from theory.problems import Problem
from theory.rates import exponents, interval, mean_squared_gradients, noise_alone, nonconvex
from theory.runs import run
from theory.settings import EXPONENTIAL, OTHERS, PUBLISHED, RING, Setting
from theory.spectra import second_eigenvalue

AGENTS = (4, 8, 16)
SEEDS = 16
MERGES = 20
"""Merges in a row, without gradients, in the check of contraction."""
ROUND_OFF = 1e-12
SINGLE_ROUND_OFF = 1e-5
"""Of networks in single precision, trained in another order of their neurons."""
RATE_STEPS, RATE_AGENTS, RATE_SEEDS = (500, 1000, 2000), (2, 4, 8, 16), 16
RATE_TOLERANCE = 0.05
"""Distance of an exponent from -1/2 that is left to what falls faster than the leading term."""


@dataclass(frozen=True)
class Row:
    """One comparison: ``measured`` in its interval from ``low`` to ``high``, against ``bound``.

    An exact number is its own interval and has no ``seeds``. A ``control`` must be rejected.
    """

    claim: str
    statement: str
    quantity: str
    graph: str
    agents: int | None
    steps: int | None
    measured: float
    low: float
    high: float
    bound: float
    step_size: float | None = None
    seeds: int | None = None
    control: bool = False
    problem: str = ""
    strict: bool = False
    """Whether measured < bound is claimed, so that equality violates it. Only exact numbers can be equal."""

    @property
    def holds(self) -> bool:
        """Whether the whole interval lies below the bound."""
        return self.high < self.bound

    @property
    def violated(self) -> bool:
        """Whether the whole interval lies above the bound; else, unless it holds, nothing is decided."""
        return self.low > self.bound or (self.strict and self.low == self.bound == self.high)

    @property
    def verdict(self) -> str:
        """The verdict in a word."""
        good, bad = ("accepted", "rejected") if self.control else ("holds", "violated")
        return good if self.holds else bad if self.violated else "undecided"

    @property
    def tightness(self) -> float:
        """Bound / measured: 1 where nothing is given away."""
        return self.bound / self.measured


def bound_checks(settings: Iterable[Setting], processes: int = 1) -> list[Row]:
    """Derived bounds in ``settings``, each by itself: what is found does not depend on ``processes``."""
    if processes == 1:
        found = list(map(setting_rows, settings))
    else:
        with ProcessPoolExecutor(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            found = list(pool.map(setting_rows, settings, chunksize=16))
    return [row for rows in found for row in rows]


def spectral_rows() -> Iterator[Row]:
    """Closed forms of sqrt(rho) against numerics: the difference is round-off."""
    for graph in (*PUBLISHED, *OTHERS):
        for agents in AGENTS:
            yield spectral_row(graph, agents, float(second_eigenvalue(graph, agents)))


def spectral_row(graph: Graph, agents: int, exact: float) -> Row:
    """The distance of the numeric sqrt(rho) from ``exact``."""
    apart = abs(numeric_second_eigenvalue(graph.mixing_matrix(agents)) - exact)
    claim = ("spectrum", "sqrt(rho) has its closed form", "difference")
    return Row(*claim, graph.label(), agents, None, *exactly(apart), ROUND_OFF)


def contraction_rows() -> Iterator[Row]:
    """Merging alone, from the slowest direction, where the bound holds with equality."""
    for graph in PUBLISHED:
        for agents in AGENTS:
            root = float(second_eigenvalue(graph, agents))
            yield contraction_row(graph, graph.mixing_matrix(agents), root)


def contraction_row(graph: Graph, mixing: ndarray, root: float) -> Row:
    """Xi after `MERGES` merges with ``mixing`` against rho^MERGES Xi_0, with sqrt(rho) = ``root``."""
    values, vectors = numpy.linalg.eigh(mixing)
    slowest = vectors[:, numpy.argsort(abs(values))[-2]]
    after = numpy.linalg.matrix_power(mixing, MERGES) @ slowest
    ratio = float(after @ after / (slowest @ slowest))
    limit = root ** (2 * MERGES) * (1 + 1e-9) + ROUND_OFF**2
    claim = ("contraction", "Xi_k <= rho^k Xi_0", "Xi_k / Xi_0")
    return Row(*claim, graph.label(), len(mixing), MERGES, *exactly(ratio), limit)


def setting_rows(setting: Setting) -> list[Row]:
    """What is measured in one setting, against the bounds."""
    problem, start = setting.build()
    return bound_rows(
        setting.bound,
        problem,
        setting.graph,
        setting.fraction,
        setting.steps,
        start,
        setting.randomness(),
        local_steps=setting.local_steps,
    )


def bound_rows(
    bound: str,
    problem: Problem,
    graph: Graph,
    fraction: float,
    steps: int,
    start: ndarray,
    randomness: Randomness,
    *,
    local_steps: int = 1,
    links: ndarray | None = None,
    **claimed: float,
) -> list[Row]:
    """The mean squared gradient, and the mean disagreement if there is a bound, each against its bound.

    ``fraction`` is of the largest admissible step size. ``links`` replace the graph's mixing matrix, and
    ``claimed`` constants of the bound, by their symbols' names, as one who has them wrong would.
    """
    mixing = graph.mixing_matrix(problem.agents)
    claim = Claim(bound, problem, numeric_second_eigenvalue(mixing), steps, local_steps)
    step_size = fraction * claim.step_size()
    done = run(
        claim.method(step_size), problem, mixing if links is None else links, steps, SEEDS, start, randomness
    )
    constants = claim.constants(step_size, done, claimed)
    where = (graph.label(), problem.agents, steps)
    how = {"step_size": step_size, "seeds": SEEDS, "problem": problem.name}
    title = claim.derivation.title + f", tau = {local_steps}" * (local_steps > 1)
    gradient = ("convergence", title, "mean |grad f|^2", *where, *interval(done.mean_squared_gradient))
    # Bounds are attained: where one merge ends all disagreement, both sides differ by round-off alone.
    limit = claim.derivation.bound(**constants) * (1 + ROUND_OFF)
    rows = [Row(*gradient, limit, **how)]
    if claim.derivation.disagreement is not None:
        spread = ("disagreement", title, "mean Xi_k", *where, *interval(done.mean_disagreement))
        limit = claim.derivation.disagreement_bound(**constants) * (1 + ROUND_OFF)
        rows.append(Row(*spread, limit, **how))
    return rows


def equivalence_rows() -> Iterator[Row]:
    """Consistent permutations and losses without an order of coordinates: merging is plain gossip."""
    problem, start = Setting("gossip", "separable", RING, 8, 1.0, 200).build()
    rate = {"learning_rate": 0.05}
    for method in (
        Cdsgd(**rate),
        Cdmsgd(**rate),
        GossipAdam(**rate),
    ):
        generator = Randomness("equivalence", 0).numpy("frames")
        lift = consistent(RING.mixing_matrix(problem.agents), problem.dimensions, generator)
        yield equivalence_row(method, problem, start, lift)
    for optimizer in (Sgd(), Momentum(), Adam()):
        yield network_row(optimizer, ALIGNED)


def equivalence_row(method: Synchronous, problem: Problem, start: ndarray, lift: Lift) -> Row:
    """The difference of merging by ``lift`` from plain gossip after 200 steps on a ring."""
    steps = 200
    apart = difference(method, problem, lift, steps, start, Randomness("equivalence", 0))
    claim = ("equivalence", f"permuted {method.title} is plain", "relative difference")
    numbers = (*exactly(apart), ROUND_OFF)
    return Row(
        *claim, "ring", problem.agents, steps, *numbers, step_size=method.learning_rate, problem=problem.name
    )


def network_row(optimizer: AnyOptimizer, merge: Merge) -> Row:
    """The difference of a shuffled fleet of networks, merged by DIMAT, from one that is averaged."""
    apart = network_difference(optimizer, merge)
    claim = ("equivalence", f"DIMAT of shuffled networks is WA, {optimizer.name}", "relative difference")
    numbers = (*exactly(apart), SINGLE_ROUND_OFF)
    return Row(
        *claim,
        "ring",
        NETWORKS,
        None,
        *numbers,
        step_size=optimizer.learning_rate,
        problem="network on digits",
    )


def rate_rows() -> Iterator[Row]:
    """Exponents of K and N on a well connected graph, where noise rules and on a nonconvex problem."""
    for setting, problem in ((noise_alone, "quadratic"), (nonconvex, "separable")):
        found = mean_squared_gradients(setting, EXPONENTIAL, RATE_STEPS, RATE_AGENTS, RATE_SEEDS)
        of_steps, of_agents = exponents(RATE_STEPS, RATE_AGENTS, found)
        yield rate_row("K", of_steps, EXPONENTIAL, problem)
        yield rate_row("N", of_agents, EXPONENTIAL, problem)


def rate_row(of: str, exponent: tuple[float, float, float], graph: Graph, problem: str) -> Row:
    """The distance of the exponent of K or N from -1/2; the interval is that of the exponent."""
    mean, low, high = exponent
    apart, half = abs(mean + 0.5), (high - low) / 2
    claim = ("rate", f"the exponent of {of} is -1/2", f"|exponent + 1/2|, exponent {mean:.4f}")
    numbers = (apart, max(0.0, apart - half), apart + half, RATE_TOLERANCE)
    return Row(*claim, graph.label(), None, None, *numbers, seeds=RATE_SEEDS, problem=problem)


def exactly(number: float) -> tuple[float, float, float]:
    """A number known without sampling, and both ends of its interval."""
    return number, number, number
