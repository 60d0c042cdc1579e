"""Agents whose variables are the rows of one matrix."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents, Diverged
from dimat.models.symmetry import Group, Member
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
    def shapes(self) -> dict[str, torch.Size]:
        return {name: torch.Size([size]) for name, size in self.task.blocks.items()}

    @property
    @override
    def units(self) -> list[Group]:
        """Each block is a group of its coordinates."""
        return [
            Group(name, size, (Member(name, axis=0),), node=name) for name, size in self.task.blocks.items()
        ]

    @override
    def gradient(
        self, row: int, sample: Any, point: Tensor, *, own: bool = True, differentiable: bool = False
    ) -> Tensor:
        return self._directed(self.task.gradient(self.local_agents[row], point, sample))

    @override
    def gradients(self, samples: Sequence[Any], points: Tensor) -> Tensor:
        return self._directed(self.task.gradients(self.local_agents, points, samples))

    @override
    def draws(self, round: int) -> Iterator[Sequence[Any]]:
        return self.task.draws(self.local_agents, round)

    @override
    def evaluate(self, row: int) -> dict[str, float]:
        return self.task.evaluate(self.local_agents[row], self._points[row])

    @override
    def finite(self, row: int) -> bool:
        return bool(torch.isfinite(self._points[row]).all())

    @override
    def check_finite(self, what: str) -> None:
        for row, agent in enumerate(self.local_agents):
            if not self.goes_on and not self.finite(row):
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
