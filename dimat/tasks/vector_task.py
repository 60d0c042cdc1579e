"""Tasks whose variables are vectors, and whose gradients are known in closed form."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dimat.tasks.task import Task


class VectorTask(Task):
    """A task of vectors: agent i starts at row i of ``start`` (N, d).

    ``blocks`` names the parts of a row, in order, with their sizes.
    """

    start: Tensor

    @property
    def blocks(self) -> Mapping[str, int]:
        """The name and size of each block."""
        return {"x": self.start.shape[1]}

    @abstractmethod
    def gradient(self, agent: int, point: Tensor, sample: Any) -> Tensor:
        """The gradient (d,) of an agent's loss for a sample, at ``point`` (d,).

        Where it is computed by torch it can be differentiated, as methods that learn to adapt need it.
        """

    def gradients(self, agents: Sequence[int], points: Tensor, samples: Sequence[Any]) -> Tensor:
        """G (n, d): `gradient` of each of ``agents`` at its row of ``points`` (n, d)."""
        found = zip(agents, points, samples, strict=True)
        return torch.stack([self.gradient(agent, point, sample) for agent, point, sample in found])

    def draws(self, agents: Sequence[int], round: int) -> Iterator[Sequence[Any]]:
        """A sample for each of ``agents``, again and again: those of `samples`."""
        return zip(*[self.samples(agent, round) for agent in agents], strict=True)

    @abstractmethod
    def evaluate(self, agent: int, point: Tensor) -> dict[str, float]:
        """What is recorded of an agent at ``point`` (d,); the primary `metric` is among it."""
