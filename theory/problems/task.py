"""A problem as a task: what agents learn who start somewhere and see noisy gradients."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from numpy import ndarray
from torch import Tensor
from typing_extensions import override

from dimat.randomness import Randomness
from dimat.tasks.task import Metric
from dimat.tasks.vector_task import VectorTask
from theory.problems.problem import Problem


class ProblemTask(VectorTask):
    """A ``problem`` from ``start`` (agents, dimensions), once for each of ``seeds``; a sample is noise.

    Seeds lie side by side as further coordinates: variables of all agents are (N, seeds * d), and mixing and
    all rules that act on each coordinate alike treat each seed as if it were alone.
    """

    metric = Metric("gap", "f - f*", better="lower")

    def __init__(self, problem: Problem, start: ndarray, seeds: int, randomness: Randomness) -> None:
        self.problem = problem
        self.agents = problem.agents
        self.seeds = seeds
        self.randomness = randomness
        self.start = torch.from_numpy(start).repeat(1, seeds)

    def by_seed(self, values: Tensor) -> ndarray:
        """Rows (n, seeds * d) as (n, seeds, d)."""
        return values.numpy().reshape(len(values), self.seeds, -1)

    def noises(self, round: int) -> Iterator[Tensor]:
        """The noise (N, seeds * d) of each step."""
        noises = self.problem.noises(self.seeds, self.randomness.numpy("noise", round=round))
        return (torch.from_numpy(noise).flatten(1) for noise in noises)

    @override
    def draws(self, agents: Sequence[int], round: int) -> Iterator[Any]:
        if len(agents) == self.agents:
            return self.noises(round)
        return (noise[agents] for noise in self.noises(round))

    @override
    def samples(self, agent: int, round: int) -> Iterator[Tensor]:
        return (noise[agent] for noise in self.noises(round))

    @override
    def gradients(self, agents: Sequence[int], points: Tensor, samples: Any) -> Tensor:
        """All at once; what others would have at 0 is left out."""
        if len(agents) == self.agents:
            return torch.from_numpy(self.problem.gradients(self.by_seed(points))).flatten(1) + samples
        everyone = torch.zeros_like(self.start)
        everyone[agents] = points
        found = torch.from_numpy(self.problem.gradients(self.by_seed(everyone))).flatten(1)
        return found[agents] + samples

    @override
    def gradient(self, agent: int, point: Tensor, sample: Tensor) -> Tensor:
        return self.gradients([agent], point[None], sample[None])[0]

    @override
    def evaluate(self, agent: int, point: Tensor) -> dict[str, float]:
        """The gap at the agent's own point, mean over seeds."""
        return {self.metric.name: float(self.problem.gap(self.by_seed(point[None])[0]).mean())}
