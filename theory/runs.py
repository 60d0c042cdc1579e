"""The library's methods at work on problems with known constants.

What runs are the update rules of `dimat.methods` themselves. Seeds lie side by side as further
coordinates: the parameters of N agents are (N, seeds * d), and mixing and all rules that act on each
coordinate alike treat each seed as if it were alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy
import torch
from numpy import ndarray
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.in_process import InProcess
from dimat.methods.every_step import Synchronous
from dimat.randomness import Randomness
from theory.problems import Problem


@dataclass(frozen=True)
class Run:
    """What was measured over the iterates x_0 to x_{K-1}, for each seed (seeds,).

    ``mean_squared_gradient`` is the mean of |grad f(xbar_k)|^2, ``mean_disagreement`` that of Xi_k.
    """

    mean_squared_gradient: ndarray
    mean_disagreement: ndarray
    gap_0: float
    disagreement_0: float


class Learners(Agents):
    """Agents that learn a ``problem`` from ``start`` (agents, dimensions), once for each of ``seeds``.

    A round has ``steps`` steps. A sample is the noise of the gradient. Every point from which a step starts
    is measured.
    """

    steps_per_epoch: int
    epochs = 1

    def __init__(
        self, problem: Problem, start: ndarray, seeds: int, steps: int, randomness: Randomness
    ) -> None:
        super().__init__(problem.agents, randomness)
        self.problem = problem
        self.seeds = seeds
        self.steps_per_epoch = steps
        self._points = torch.from_numpy(start).repeat(1, seeds)
        self.squared_gradients, self.disagreements = numpy.zeros((2, seeds))

    @property
    @override
    def parameters(self) -> Tensor:
        return self._points.clone()

    @parameters.setter
    def parameters(self, values: Tensor) -> None:
        self._points = values

    @override
    def steps(self, round: int) -> Iterator[Step]:
        """Each starts with a measurement."""
        for step in super().steps(round):
            self.measure()
            yield step

    def measure(self) -> None:
        """Add the squared gradient at the mean, and the disagreement, to their sums."""
        points = self._by_seed(self._points)
        mean = points.mean(0)
        self.squared_gradients += (self.problem.gradient(mean) ** 2).sum(1)
        apart = points - mean
        self.disagreements += numpy.einsum("nsd,nsd->s", apart, apart) / self.agents

    @override
    def draws(self, round: int) -> Iterator[Tensor]:
        """The noise (agents, seeds * d) of every step."""
        generator = self.randomness.numpy("noise", round=round)
        for _ in count():
            yield torch.from_numpy(self.problem.noise(self.seeds, generator)).flatten(1)

    @override
    def gradients(self, samples: Sequence[Any], points: Tensor) -> Tensor:
        """All at once."""
        return torch.from_numpy(self.problem.gradients(self._by_seed(points))).flatten(1) + samples

    @override
    def samples(self, row: int, round: int) -> Iterator[Tensor]:
        return (noise[row] for noise in self.draws(round))

    @override
    def gradient(self, row: int, sample: Tensor, point: Tensor, *, own: bool = True) -> Tensor:
        return self.gradients(sample, point.expand(self.agents, -1))[row]

    def _by_seed(self, values: Tensor) -> ndarray:
        return values.numpy().reshape(self.agents, self.seeds, -1)


class Matrix(InProcess):
    """Links that mix by one product of matrices, without counting bytes."""

    @override
    def mix(self, values: Tensor, kind: str, matrix: ndarray | None = None) -> Tensor:
        return torch.tensor(self.mixing if matrix is None else matrix) @ values


def run(
    method: Synchronous,
    problem: Problem,
    mixing: ndarray | Callable[[int], ndarray],
    steps: int,
    seeds: int,
    start: ndarray,
    randomness: Randomness,
) -> Run:
    """Take ``steps`` steps of ``method`` from ``start`` (agents, dimensions), all ``seeds`` at once.

    The step size is the method's learning rate. ``mixing`` is Pi (agents, agents), or gives that of every
    communication.
    """
    learners = Learners(problem, start, seeds, steps, randomness)
    method.learn(learners, Matrix(mixing), round=1)
    center = start.mean(0, keepdims=True)
    return Run(
        learners.squared_gradients / steps,
        learners.disagreements / steps,
        float(problem.gap(center)[0]),
        float(((start - center) ** 2).sum(1).mean()),
    )
