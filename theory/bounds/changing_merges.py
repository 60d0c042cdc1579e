"""Permutations that change from merge to merge: what that costs a bound.

W_k = [pi_ij P_ij(k)]; losses are L-smooth, and in the first do not change when coordinates are permuted.

*New frames.* Let P_ij(k) = Q_i Q_j^T with frames Q_i that may change at a merge, and y_i = Q_i^T x_i. For old
frames y with mean ybar and disagreement Xi, and new ones y', by smoothness

    f(ybar) >= mean_i f(y_i) - (L / 2) Xi,    f(ybar') <= mean_i f(y'_i) + (L / 2) Xi',

and f(y_i) = f(x_i) = f(y'_i): so f(ybar') <= f(ybar) + (L / 2) (Xi + Xi'). If frames only change where
Xi' <= Xi, the recursion of Xi stays as it was, and the bound of `gossip` on |grad f(ybar'_k)|^2 gains
(L / (alpha K)) times the sum of Xi + Xi' over the merges that change frames.

*Drift.* For any W_k, let m_k = mean (W_k X) - mean X be what a merge moves the mean by. Then xbar moves by a
gradient step whose error is m_k / alpha. With |a + b|^2 <= 2 |a|^2 + 2 |b|^2 in `descent`, for
alpha <= 1 / L, mean |grad f(xbar_k)|^2 is at most

    2 gap_0 / (alpha K) + alpha L sigma^2 / N + 2 L^2 mean Xi_k + (2 / alpha^2) mean |m_k|^2.

Losses may tell coordinates apart here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy
import torch
from numpy import ndarray
from numpy.random import Generator
from torch import Tensor
from typing_extensions import override

from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.merging.matching.assignment import best_permutation
from dimat.methods.cdsgd import Cdsgd
from dimat.randomness import Randomness
from dimat.topology import second_eigenvalue
from theory.bounds.derivations.gossip import GOSSIP
from theory.bounds.orbit_means import KINDS
from theory.bounds.rates import t_interval
from theory.gap import trained
from theory.gap.graphs import COMPLETE, RING
from theory.gap.lift import Lift
from theory.gap.permutations import independent
from theory.problems import Problem, Quadratic, Separable
from theory.problems.task import ProblemTask
from theory.rows import ROUND_OFF, Numbers, Row, exactly

Merge = Callable[[ndarray], ndarray]
"""Of X (N, d)."""
AGENTS, STEPS, SEEDS = 8, 100, 8
SMALL, APART = 1e-2, 0.3
CHANGING_CHECKS = ("new-frames.price", "new-frames.gradient", "drift.gradient")


class Watched(InProcess):
    """Links whose every merge of X (N, d) is ``merge``, which may look at X first."""

    def __init__(self, mixing: ndarray, merge: Merge) -> None:
        super().__init__(mixing)
        self.merge = merge

    @override
    def mix(self, values: Tensor, kind: str, matrix: ndarray | None = None) -> Tensor:
        return torch.from_numpy(self.merge(values.numpy()))


def run(
    problem: Problem, mixing: ndarray, start: ndarray, step_size: float, what: str, seed: int, merge: Merge
) -> None:
    """`STEPS` steps of gossip, one seed."""
    randomness = Randomness(f"changing merges, {what}", seed)
    agents = Vectors(ProblemTask(problem, start, 1, randomness), randomness, steps_per_epoch=STEPS)
    Cdsgd(learning_rate=step_size).learn(agents, Watched(mixing, merge), round=1)


def spread(points: ndarray) -> float:
    """Xi of points (N, d)."""
    return float(((points - points.mean(0)) ** 2).sum(1).mean())


@dataclass
class Frames:
    """Merges in common frames, chosen anew every ``period`` merges by matching to agent 0, if Xi falls."""

    problem: Problem
    mixing: ndarray
    period: int

    def __post_init__(self) -> None:
        agents, dimensions = self.problem.shape
        self.orders = numpy.tile(numpy.arange(dimensions), (agents, 1))
        self.merges = 0
        self.gradients: list[float] = []
        self.prices: list[tuple[float, float]] = []
        """By changes of frames: what f at the mean rose by, and (L / 2) (Xi + Xi')."""

    def __call__(self, x: ndarray) -> ndarray:
        """W X, with what is measured of the means before and after."""
        y = numpy.take_along_axis(x, self.orders, 1)
        if self.merges % self.period == 0:
            y = self.rematched(x, y)
        self.merges += 1
        self.gradients.append(float((self.problem.gradient(y.mean(0)[None]) ** 2).sum()))
        merged = numpy.empty_like(x)
        numpy.put_along_axis(merged, self.orders, self.mixing @ y, 1)
        return merged

    def rematched(self, x: ndarray, y: ndarray) -> ndarray:
        """The points in new frames, if they are closer to each other there; else as they are."""
        orders = self.proposed(y)
        found = numpy.take_along_axis(x, orders, 1)
        before, after = spread(y), spread(found)
        if after >= before or numpy.array_equal(found, y):
            return y
        self.orders = orders
        means = numpy.stack([y.mean(0), found.mean(0)])
        old, new = self.problem.gap(means)
        self.prices.append((float(new - old), self.problem.smoothness / 2 * (before + after)))
        return found

    def proposed(self, y: ndarray) -> ndarray:
        """New frames (agents, dimensions), of the points ``y`` as they stand in their frames."""
        first = torch.from_numpy(y[0])
        orders = [best_permutation(torch.outer(first, torch.from_numpy(row))).numpy() for row in y]
        return numpy.take_along_axis(self.orders, numpy.stack(orders), 1)


class NetworksFrames(Frames):
    """The same, in frames that matching finds between trained networks, after one epoch more each time."""

    @override
    def proposed(self, y: ndarray) -> ndarray:
        epoch = self.merges // self.period % trained.EPOCHS
        return trained.frames_of(self.mixing, y.shape[1], epoch)


@dataclass
class Drifting:
    """Merges by W_k, whose permutations ``permuted`` draws anew at each merge."""

    problem: Problem
    mixing: ndarray
    permuted: Callable[[ndarray, int, Generator], Lift]
    generator: Generator

    def __post_init__(self) -> None:
        self.found: list[tuple[float, float, float]] = []
        """By merges: |grad f(xbar)|^2, Xi and |m|^2."""

    def __call__(self, x: ndarray) -> ndarray:
        """W_k X."""
        merged = self.permuted(self.mixing, x.shape[1], self.generator).apply(x)
        mean = x.mean(0)
        drift = merged.mean(0) - mean
        slope = self.problem.gradient(mean[None])
        self.found.append((float((slope**2).sum()), spread(x), float((drift**2).sum())))
        return merged


def changing_rows() -> Iterator[Row]:
    """Frames that matching chooses anew, always or rarely, and permutations that never agree."""
    for period, fraction in product((1, 10), (1.0, 0.1)):
        said = f"matched anew every {period} merges"
        yield from new_frames(*drawn(said), RING.mixing_matrix(AGENTS), fraction, said, period)
    yield from crossed_frames()
    for fraction in (1.0, 0.1):
        said = "found between trained networks, anew every 10 merges"
        yield from new_frames(
            *like_networks(said), RING.mixing_matrix(AGENTS), fraction, said, 10, NetworksFrames
        )
    for (kind, permuted), fraction in product(KINDS.items(), (0.1, 0.01)):
        yield drift(*drawn(kind), fraction, f"{kind}, drawn at each merge", permuted)
    yield drift(*told_apart(), 0.01, "random, coordinates told apart", independent)


def changing_controls() -> Iterator[Row]:
    """New frames at half their price, and for nothing; permutations that move the mean for nothing."""
    price, _ = crossed_frames(price=0.5)
    _, bound = crossed_frames(price=0.0)
    yield price.as_control("half the price of new frames")
    yield bound.as_control("new frames for nothing")
    moved = drift(*told_apart(), 0.01, "random, coordinates told apart", independent, price=0.0)
    yield moved.as_control("drift for nothing")


def drawn(what: str) -> tuple[Problem, ndarray]:
    """A nonconvex problem and a start (agents, dimensions)."""
    generator = Randomness(f"changing merges, {what}", 0).numpy("drawn")
    problem = Separable.drawn(AGENTS, generator)
    return problem, generator.standard_normal(problem.shape)


def like_networks(what: str) -> tuple[Problem, ndarray]:
    """The same; agents start close to each other in the first frames that are found between networks."""
    problem, noise = drawn(what)
    frames = trained.frames_of(RING.mixing_matrix(AGENTS), problem.dimensions, 0)
    start = numpy.empty_like(noise)
    numpy.put_along_axis(start, frames, noise[0] + APART * noise, 1)
    return problem, start


def told_apart() -> tuple[Problem, ndarray]:
    """Equal agents at the minimum of a loss with another optimum for each coordinate."""
    optima = numpy.tile(numpy.arange(4.0), (AGENTS, 1))
    return Quadratic(numpy.ones(4), optima, sigma=0.0), optima


def crossed_frames(price: float = 1.0) -> list[Row]:
    """Two agents whose mean is at the minimum as long as their coordinates stay crossed."""
    problem = Separable(numpy.ones(2), numpy.zeros(2), 2, sigma=0.0)
    start = SMALL * numpy.array([[1.0, -1.0], [-1.0, 1.0]])
    return new_frames(problem, start, COMPLETE.mixing_matrix(2), 0.1, "crossed, then matched", 1, price=price)


def new_frames(
    problem: Problem,
    start: ndarray,
    mixing: ndarray,
    fraction: float,
    kind: str,
    period: int,
    merging: type[Frames] = Frames,
    price: float = 1.0,
) -> list[Row]:
    """What new frames raise f at the mean by, at most, over their price; and the bound with that price.

    ``price`` is claimed as a factor of it.
    """
    given = (problem, second_eigenvalue(mixing), STEPS, 1)
    step_size = fraction * GOSSIP.largest_step_size(**GOSSIP.constants_on(*given))
    runs = [merging(problem, mixing, period) for _ in range(SEEDS)]
    for seed, merges in enumerate(runs):
        run(problem, mixing, start, step_size, f"{kind}, {fraction}", seed, merges)
    rises = [rise / cost for merges in runs for rise, cost in merges.prices]
    found = {"alpha": step_size, "gap_0": float(problem.gap(start.mean(0)[None])[0]), "Xi_0": spread(start)}
    bound = GOSSIP.bound(**GOSSIP.constants_on(*given, **found))
    costs = numpy.array([sum(cost for _, cost in merges.prices) for merges in runs])
    gained = price * 2 * costs / (step_size * STEPS)
    gradients = numpy.array([numpy.mean(merges.gradients) for merges in runs])
    where = ("complete" if len(start) == 2 else "ring", len(start), STEPS)
    how = {"step_size": step_size, "problem": problem.name}
    first, second = CHANGING_CHECKS[:2]
    rise = ("rise of f at the mean / its price", *where, *exactly(max(rises)), price * (1 + ROUND_OFF))
    slope = ("mean |grad f|^2", *where, *against(gradients, gained), bound + gained.mean())
    return [
        Row(first, f"frames: {kind}", *rise, **how),
        Row(second, f"frames: {kind}", *slope, **how, seeds=SEEDS),
    ]


def drift(
    problem: Problem,
    start: ndarray,
    fraction: float,
    kind: str,
    permuted: Callable[[ndarray, int, Generator], Lift],
    price: float = 1.0,
) -> Row:
    """The squared gradient at a mean that merges move; ``fraction`` is of 1 / L, ``price`` as above."""
    mixing, step_size = RING.mixing_matrix(AGENTS), fraction / problem.smoothness
    generator = Randomness(f"changing merges, {kind}, {fraction}", 0).numpy("permutations")
    runs = [Drifting(problem, mixing, permuted, generator) for _ in range(SEEDS)]
    for seed, merges in enumerate(runs):
        run(problem, mixing, start, step_size, f"{kind}, {fraction}", seed, merges)
    gradients, spreads, drifts = numpy.array([merges.found for merges in runs]).mean(1).T
    allowed = 2 * problem.smoothness**2 * spreads + price * 2 * drifts / step_size**2
    noise = step_size * problem.smoothness * problem.sigma**2 / AGENTS
    bound = 2 * float(problem.gap(start.mean(0)[None])[0]) / (step_size * STEPS) + noise + allowed.mean()
    said = (CHANGING_CHECKS[2], f"permutations: {kind}", "mean |grad f|^2", "ring", AGENTS, STEPS)
    how = {"step_size": step_size, "problem": problem.name, "seeds": SEEDS}
    return Row(*said, *against(gradients, allowed), bound, **how)


def against(measured: ndarray, allowed: ndarray) -> Numbers:
    """The mean of what was measured (seeds,), with the interval of its difference from what was ``allowed``.

    Both vary with the seed, and together. The interval is raised by the mean of what was allowed, as is the
    bound that it is held against.
    """
    _, low, high = t_interval(measured - allowed)
    return float(measured.mean()), low + allowed.mean(), high + allowed.mean()
