"""The library's methods at work on problems with known constants.

What runs are the update rules of `dimat.methods` themselves.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy
import torch
from numpy import ndarray
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Step
from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.methods.every_step import Synchronous
from dimat.randomness import Randomness
from theory.problems import Problem
from theory.problems.task import ProblemTask


@dataclass(frozen=True)
class Iterates:
    """What was measured over the iterates x_0 to x_{K-1}, for each seed (seeds,).

    ``mean_squared_gradient`` is the mean of |grad f(xbar_k)|^2, ``mean_disagreement`` that of Xi_k.
    """

    mean_squared_gradient: ndarray
    mean_disagreement: ndarray
    gap_0: float
    disagreement_0: float


class Learners(Vectors):
    """Agents that learn a problem in rounds of ``steps``; every point where one starts is measured."""

    def __init__(self, task: ProblemTask, steps: int) -> None:
        super().__init__(task, task.randomness, steps_per_epoch=steps)
        self.problem, self.by_seed = task.problem, task.by_seed
        self.squared_gradients, self.disagreements = numpy.zeros((2, task.seeds))

    @override
    def steps(self, round: int) -> Iterator[Step]:
        """Each starts with a measurement."""
        for step in super().steps(round):
            self.measure()
            yield step

    def measure(self) -> None:
        """Add the squared gradient at the mean, and the disagreement, to their sums."""
        points = self.by_seed(self.parameters)
        mean = points.mean(0)
        self.squared_gradients += (self.problem.gradient(mean) ** 2).sum(1)
        apart = points - mean
        self.disagreements += numpy.einsum("nsd,nsd->s", apart, apart) / self.agents


class DenseProduct(InProcess):
    """Links that mix by one dense product of matrices, without counting bytes."""

    @override
    def mix(self, values: Tensor, kind: str, matrix: ndarray | None = None) -> Tensor:
        return torch.from_numpy(self.mixing if matrix is None else matrix) @ values


def run_method(
    method: Synchronous,
    problem: Problem,
    mixing: ndarray | Callable[[int], ndarray],
    steps: int,
    seeds: int,
    start: ndarray,
    randomness: Randomness,
) -> Iterates:
    """Take ``steps`` steps of ``method`` from ``start`` (agents, dimensions), all ``seeds`` at once.

    The step size is the method's learning rate. ``mixing`` is Pi (agents, agents), or gives that of every
    communication.
    """
    learners = Learners(ProblemTask(problem, start, seeds, randomness), steps)
    method.learn(learners, DenseProduct(mixing), round=1)
    center = start.mean(0, keepdims=True)
    return Iterates(
        learners.squared_gradients / steps,
        learners.disagreements / steps,
        float(problem.gap(center)[0]),
        float(((start - center) ** 2).sum(1).mean()),
    )
