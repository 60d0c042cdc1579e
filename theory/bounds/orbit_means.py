"""Any fixed permutations: the bound of gossip holds at the means of orbits, with rho' in place of rho.

Let W = [pi_ij P_ij], P_ji = P_ij^T, and no loss change when coordinates are permuted. W^k X tends to the
projection P X, which has the mean of each orbit of coordinates at every place of the orbit: z in the frame of
agent 0 (`theory.gap.lift`). Then X <- W X - alpha G(X) obeys the bounds of `gossip` word for word with z in
place of xbar, Xi' = |X - P X|^2 / N in place of Xi, and s' = |W - P| in place of s:

- P W = P, so z moves as z <- z - alpha (P G)_0, and X - P X <- (W - P) (X - P X) - alpha (G - P G);
- P X is z in every agent's frame, and grad f_i is the same there up to the frame, as f_i does not change;
  where z has equal coordinates, so has the gradient: P leaves it as it is. So P G is as far from grad f(z) as
  L^2 Xi' allows, in the mean square, and |G - P G|^2 <= |G - (grad f(z) in every frame)|^2, as P projects.

So a rho' is right in a bound after all, but s' >= s for all permutations (`theory.gap.readings`), and what it
speaks of are as many dimensions as there are orbits.
"""

from collections.abc import Callable, Iterator
from itertools import product

import numpy
import torch
from numpy import ndarray
from numpy.random import Generator
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Step
from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.merging.matching.assignment import best_permutation
from dimat.randomness import Randomness
from dimat.topology import Hypercube, second_eigenvalue
from theory.bounds.derivations.gossip import GOSSIP
from theory.bounds.rates import t_interval
from theory.gap import trained
from theory.gap.graphs import RING
from theory.gap.lift import Lift, inverse_of
from theory.gap.permutations import consistent, independent
from theory.problems import Problem, Separable
from theory.problems.problem import DIMENSIONS
from theory.problems.task import ProblemTask
from theory.rows import ROUND_OFF, Row

SEEDS, AGENTS, STEPS = 16, 8, 500
SMALL = 1e-2
ORBIT_CHECKS = ("orbits.gradient", "orbits.disagreement")


def matched(mixing: ndarray, size: int, generator: Generator) -> Lift:
    """The permutations that matching finds, on every link by itself, between noisy views of the same neurons.

    Each agent sees them in an order of its own, in 20 images; the noise is so large that cycles do not close.
    """
    shared = generator.standard_normal((size, 20))
    seen = [shared[generator.permutation(size)] + 2 * generator.standard_normal(shared.shape) for _ in mixing]
    found = {}
    for i, j in numpy.argwhere(numpy.triu(mixing, 1)).tolist():
        found[i, j] = best_permutation(torch.from_numpy(seen[i] @ seen[j].T)).numpy()
        found[j, i] = inverse_of(found[i, j])
    return Lift(mixing, found)


def networks_per_link(mixing: ndarray, size: int, generator: Generator) -> Lift:
    """What matching finds between trained networks, on every link by itself, after an epoch that is drawn."""
    return trained.per_link(mixing, size, int(generator.integers(trained.EPOCHS)))


def networks_in_common_frame(mixing: ndarray, size: int, generator: Generator) -> Lift:
    """The same, in a common frame."""
    return trained.in_common_frame(mixing, size, int(generator.integers(trained.EPOCHS)))


KINDS: dict[str, Callable[[ndarray, int, Generator], Lift]] = {
    "consistent": consistent,
    "matched": matched,
    "random": independent,
    "networks' per-link": networks_per_link,
    "networks' common-frame": networks_in_common_frame,
}
"""The last two of networks that are trained for the audit, all others are made up."""


class Moved(InProcess):
    """Links that merge by W, many seeds at once, which lie side by side."""

    def __init__(self, lift: Lift, seeds: int) -> None:
        super().__init__(lift.mixing)
        self.lift, self.seeds = lift, seeds

    @override
    def mix(self, values: Tensor, kind: str, matrix: ndarray | None = None) -> Tensor:
        seeds_last = values.numpy().reshape(self.agents, self.seeds, -1).swapaxes(1, 2)
        return torch.from_numpy(self.lift.apply(seeds_last).swapaxes(1, 2).reshape(values.shape))


class AtOrbits(Vectors):
    """Agents that learn a ``problem`` in one round; where a step starts, means of orbits are measured."""

    def __init__(self, task: ProblemTask, lift: Lift, steps: int) -> None:
        super().__init__(task, task.randomness, steps_per_epoch=steps)
        self.problem, self.by_seed = task.problem, task.by_seed
        self.frames = numpy.stack([lift.frames[agent] for agent in range(lift.agents)])
        same = lift.orbits[:, None] == lift.orbits
        self.averaging = same / same.sum(1)
        self.found: list[tuple[ndarray, ndarray, ndarray]] = []

    @override
    def steps(self, round: int) -> Iterator[Step]:
        """Each starts with a measurement."""
        for step in super().steps(round):
            self.found.append(self.measured())
            yield step

    def measured(self) -> tuple[ndarray, ndarray, ndarray]:
        """|grad f(z)|^2, Xi', and f(z) - f* (seeds,)."""
        points = self.by_seed(self.parameters)
        points = numpy.take_along_axis(points, self.frames[:, None], axis=2)  # in the frame of agent 0
        z = points.mean(0) @ self.averaging
        apart = points - z
        spread = numpy.einsum("nsd,nsd->s", apart, apart) / self.agents
        return (self.problem.gradient(z) ** 2).sum(1), spread, self.problem.gap(z)


def orbit_rows() -> Iterator[Row]:
    """Two graphs, permutations of every kind, and two step sizes, on losses that no permutation changes."""
    for graph, (kind, permuted) in product((RING, Hypercube()), KINDS.items()):
        generator = Randomness(f"orbits, {graph.label()}, {kind}", 0).numpy("drawn")
        problem = Separable.drawn(AGENTS, generator)
        lift = permuted(graph.mixing_matrix(AGENTS), problem.dimensions, generator)
        start = generator.standard_normal(problem.shape)
        for fraction in (1.0, 0.1):
            yield from compared_at_orbits(problem, lift, fraction, start, graph.label(), kind)


def orbit_controls() -> Iterator[Row]:
    """Agents who start apart along the slowest direction of W, on a plain: rho is no rho'."""
    generator = Randomness("orbits", 0).numpy("controls")
    mixing = RING.mixing_matrix(AGENTS)
    lift = next(
        each for each in iter(lambda: independent(mixing, DIMENSIONS, generator), None) if each.capacity == 1
    )
    start = SMALL * lift.slowest()[1]
    problem = Separable(numpy.full(AGENTS, 1e-3), numpy.zeros(AGENTS), DIMENSIONS, sigma=0.0)
    claimed = second_eigenvalue(mixing)
    _, apart = compared_at_orbits(problem, lift, 1e-3, start, "ring", "random", s=claimed)
    yield apart.as_control("rho of the mixing matrix in place of rho'")
    down = numpy.full((AGENTS, DIMENSIONS), 0.2)
    problem = Separable(numpy.ones(AGENTS), numpy.zeros(AGENTS), DIMENSIONS, sigma=0.0)
    lift = independent(Hypercube().mixing_matrix(AGENTS), DIMENSIONS, generator)
    third = float(problem.gap(down[:1])[0]) / 3
    slope, _ = compared_at_orbits(problem, lift, 1.0, down, "hypercube", "random", gap_0=third)
    yield slope.as_control("a third of the initial gap")


def compared_at_orbits(
    problem: Problem,
    lift: Lift,
    fraction: float,
    start: ndarray,
    graph: str,
    kind: str,
    **claimed: float,
) -> list[Row]:
    """Gossip with the permutations of ``lift``, of a ``kind``, against its bounds at the means of orbits.

    ``fraction`` is of the largest admissible step size; constants are ``claimed``, by their symbols' names,
    as by one who has them wrong.
    """
    given = (problem, claimed.get("s", lift.second_modulus()), STEPS, 1)
    step_size = fraction * GOSSIP.largest_step_size(**GOSSIP.constants_on(*given))
    randomness = Randomness(f"orbits, {graph}, {kind}, {fraction}", 0)
    agents = AtOrbits(ProblemTask(problem, start, SEEDS, randomness), lift, STEPS)
    GOSSIP.rule(step_size, 1).learn(agents, Moved(lift, SEEDS), round=1)
    gradients, spreads, gaps = (numpy.array(each) for each in zip(*agents.found, strict=True))
    found = {"alpha": step_size, "gap_0": float(gaps[0, 0]), "Xi_0": float(spreads[0, 0])}
    constants = GOSSIP.constants_on(*given, **found | claimed)
    statement = f"{kind} permutations, {lift.capacity} of {lift.size} dimensions left"
    where = (graph, lift.agents, STEPS)
    how = {"step_size": step_size, "seeds": SEEDS, "problem": problem.name}
    return [
        Row(check, statement, quantity, *where, *t_interval(numbers.mean(0)), limit * (1 + ROUND_OFF), **how)
        for check, quantity, numbers, limit in (
            (ORBIT_CHECKS[0], "mean |grad f(z_k)|^2", gradients, GOSSIP.bound(**constants)),
            (ORBIT_CHECKS[1], "mean Xi'_k", spreads, GOSSIP.disagreement_bound(**constants)),
        )
    ]
