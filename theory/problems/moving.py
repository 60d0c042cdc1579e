"""Losses whose minimizer jumps: f_i(x) = (x - c_i)^T A_i (x - c_i) / 2, with new c_i after so many rounds.

A sample of a loss is its c_i, so that what an agent draws in a round says what its data are then. The
minimizer of the mean is (sum A_i)^{-1} sum A_i c_i. Seeds lie side by side as further coordinates, as in
`ProblemTask`.
"""

from collections.abc import Iterator, Sequence
from itertools import repeat

import numpy
import torch
from numpy import ndarray
from torch import Tensor
from typing_extensions import override

from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.methods.every_step import EveryStep
from dimat.randomness import Randomness
from dimat.tasks.task import Metric
from dimat.tasks.vector_task import VectorTask
from dimat.topology import Graph

DIMENSIONS = 4
LEAST, MOST = 0.2, 2.0
"""Eigenvalues of all A_i."""


class MovingTask(VectorTask):
    """Agents that start at 0, ``seeds`` at once; ``period`` rounds lie between two jumps."""

    metric = Metric("distance", "distance to the minimizer", better="lower")

    def __init__(self, agents: int, seeds: int, period: int) -> None:
        self.agents, self.seeds, self.period = agents, seeds, period
        self.randomness = Randomness("moving", 0)
        generator = self.randomness.numpy("curvature")
        turns = numpy.linalg.qr(generator.standard_normal((agents, seeds, DIMENSIONS, DIMENSIONS)))[0]
        values = generator.uniform(LEAST, MOST, (agents, seeds, 1, DIMENSIONS))
        self.curvature = torch.from_numpy(turns * values @ turns.swapaxes(2, 3))
        self.start = torch.zeros(agents, seeds * DIMENSIONS, dtype=torch.float64)
        self._centers: dict[int, Tensor] = {}

    def centers(self, round: int) -> Tensor:
        """The c_i in a round, counted from 1: (N, seeds * d)."""
        jumps = (round - 1) // self.period
        if jumps not in self._centers:
            generator = self.randomness.numpy("centers", round=jumps)
            self._centers[jumps] = torch.from_numpy(generator.standard_normal(self.start.shape))
        return self._centers[jumps]

    def minimizer(self, round: int) -> Tensor:
        """(seeds, d)."""
        total = torch.einsum("isab,isb->sa", self.curvature, self._by_seed(self.centers(round)))
        return torch.linalg.solve(self.curvature.sum(0), total)

    def distances(self, points: Tensor, round: int) -> ndarray:
        """Of ``points`` (N, seeds * d) from the minimizer, over its norm: means over agents (seeds,)."""
        best = self.minimizer(round)
        off = (self._by_seed(points) - best).norm(dim=2).mean(0)
        return (off / best.norm(dim=1)).numpy()

    def _by_seed(self, values: Tensor) -> Tensor:
        return values.reshape(*values.shape[:-1], self.seeds, DIMENSIONS)

    @override
    def samples(self, agent: int, round: int) -> Iterator[Tensor]:
        return repeat(self.centers(round)[agent])

    @override
    def draws(self, agents: Sequence[int], round: int) -> Iterator[Sequence[Tensor]]:
        return repeat(list(self.centers(round)[list(agents)]))

    @override
    def gradient(self, agent: int, point: Tensor, sample: Tensor) -> Tensor:
        return torch.einsum("sab,sb->sa", self.curvature[agent], self._by_seed(point - sample)).flatten()

    @override
    def gradients(self, agents: Sequence[int], points: Tensor, samples: Sequence[Tensor]) -> Tensor:
        off = self._by_seed(points - torch.stack(list(samples)))
        return torch.einsum("isab,isb->isa", self.curvature[list(agents)], off).flatten(1)

    @override
    def evaluate(self, agent: int, point: Tensor) -> dict[str, float]:
        """The distance from the first minimizer, mean over seeds."""
        off = (self._by_seed(point) - self.minimizer(1)).norm(dim=1)
        return {self.metric.name: float(off.mean())}


def followed(method: EveryStep, graph: Graph, task: MovingTask, rounds: int, steps: int = 1) -> ndarray:
    """Distances (rounds, seeds) after each of so many rounds of ``steps`` gradient steps."""
    agents = Vectors(task, task.randomness, steps_per_epoch=steps)
    links = InProcess(
        lambda time: graph.mixing_at(task.agents, time, task.randomness),
        whole=graph.mixing_matrix(task.agents),
    )
    found = []
    for round in range(1, rounds + 1):
        method.learn(agents, links, round)
        found.append(task.distances(agents.parameters, round))
    return numpy.array(found)
