"""Agents whose variables are the rows of one matrix."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents, Diverged
from dimat.randomness import Randomness
from dimat.tasks.vector_task import VectorTask


class Vectors(Agents):
    """Agents that learn a ``task`` of vectors, each from its row of the task's start."""

    task: VectorTask

    def __init__(
        self,
        task: VectorTask,
        randomness: Randomness,
        *,
        epochs: int = 1,
        steps_per_epoch: int,
        local_agents: Sequence[int] | None = None,
    ) -> None:
        super().__init__(task, randomness, local_agents)
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self._points = task.start[self.local_agents].clone()
        self._signs = self._block_signs()

    def _block_signs(self) -> Tensor | None:
        """-1 where blocks ascend, else 1 (d,); `None` if none does."""
        if not self.task.ascending:
            return None
        parts = [
            torch.full((size,), -1.0 if name in self.task.ascending else 1.0, dtype=self._points.dtype)
            for name, size in self.task.blocks.items()
        ]
        return torch.cat(parts)

    @property
    @override
    def parameters(self) -> Tensor:
        return self._points.clone()

    @parameters.setter
    @override
    def parameters(self, values: Tensor) -> None:
        self._points = values.clone()

    @property
    @override
    def sizes(self) -> list[int]:
        return list(self.task.blocks.values())

    @override
    def gradient(
        self, row: int, sample: Any, point: Tensor, *, own: bool = True, differentiable: bool = False
    ) -> Tensor:
        found = self.task.gradient(self.local_agents[row], point, sample)
        return found if self._signs is None else found * self._signs

    @override
    def gradients(self, samples: Sequence[Any], points: Tensor) -> Tensor:
        found = self.task.gradients(self.local_agents, points, samples)
        return found if self._signs is None else found * self._signs

    @override
    def draws(self, round: int) -> Iterator[Sequence[Any]]:
        return self.task.draws(self.local_agents, round)

    @override
    def evaluate(self, row: int) -> dict[str, float]:
        return self.task.evaluate(self.local_agents[row], self._points[row])

    @override
    def check_finite(self, what: str) -> None:
        for agent, point in zip(self.local_agents, self._points, strict=True):
            if not torch.isfinite(point).all():
                raise Diverged(f"training: agent {agent} diverged (its variables are not finite) in {what}")

    @override
    def tensors(self, optimizers: bool) -> dict[str, Tensor]:
        points = zip(self.local_agents, self._points, strict=True)
        return {f"{agent}/variables/all": point for agent, point in points} | dict(self.state.tensors())

    @override
    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        try:
            points = [tensors[f"{agent}/variables/all"] for agent in self.local_agents]
        except KeyError as error:
            raise ValueError(f"{error} is missing") from None
        self.parameters = torch.stack(points)
        self.state.load(tensors)
