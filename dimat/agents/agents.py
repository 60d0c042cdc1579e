"""N agents and all of their state: parameters, and what a method keeps of each agent and link.

Whatever they learn, each agent i has parameters x_i in R^d and draws samples of its own loss f_i. A method
that communicates at every step moves all of them at once, in matrix form: a row for each agent.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dimat.agents.attacks import Attack
from dimat.agents.state import State
from dimat.errors import InputError
from dimat.models.slices import inside
from dimat.models.symmetry import Group, Permutations
from dimat.randomness import Randomness
from dimat.tasks.task import Task


class Diverged(InputError):
    """Training left the finite numbers."""


class Agents(ABC):
    """N agents, of which the ``local_agents`` live in this process, one row of every tensor for each.

    ``state`` is what a method keeps; together with parameters and buffers it is all there is to resume.
    ``steps_taken`` counts gradient steps; ``frozen`` asks agents that normalize batches to stop adapting to
    them. A round has ``epochs`` of ``steps_per_epoch`` steps each.
    """

    epochs: int
    steps_per_epoch: int
    goes_on = False
    """Whether agents go on that have left the finite numbers; otherwise they are `Diverged`."""
    attack: Attack | None = None
    """What one of them does to harm the others."""

    def __init__(self, task: Task, randomness: Randomness, local_agents: Sequence[int] | None = None) -> None:
        self.task = task
        self.agents = task.agents
        self.randomness = randomness
        self.frozen = False
        self.local_agents = list(range(self.agents) if local_agents is None else local_agents)
        self.state = State(self.local_agents, lambda: self.parameters)
        self.steps_taken = [0] * len(self.local_agents)

    @property
    def honest(self) -> list[tuple[int, int]]:
        """(row, agent) of those in this process who do not attack: whose scores are recorded."""
        return [(row, agent) for row, agent in enumerate(self.local_agents) if not self.attacks(agent)]

    def attacks(self, agent: int) -> bool:
        """Whether an ``agent`` is the one that attacks."""
        return self.attack is not None and self.attack.agent == agent

    def attacked(self, time: int) -> None:
        """Let the attacker, if there is one, do what it does before communication number ``time``, from 1."""
        if self.attack is not None:
            self.attack.strike(self, time)

    @property
    @abstractmethod
    def parameters(self) -> Tensor:
        """X (n, d), a copy."""

    @parameters.setter
    @abstractmethod
    def parameters(self, values: Tensor) -> None:
        """Replace the parameters (n, d) of all agents of this process."""

    @property
    @abstractmethod
    def shapes(self) -> dict[str, torch.Size]:
        """Shapes of the parts of a row of parameters by name, in order: tensors of a network, or blocks."""

    @property
    def sizes(self) -> list[int]:
        """How many entries each of the parts has."""
        return [shape.numel() for shape in self.shapes.values()]

    @property
    @abstractmethod
    def units(self) -> list[Group]:
        """Groups of units that parameters can do without some of: hidden channels, or single coordinates."""

    def slice(self, kept: Mapping[str, Tensor]) -> Tensor:
        """True (d,) for entries of a row of parameters that belong to no unit but those ``kept``; on the CPU.

        ``kept`` are indices of units by the name of their group; of a group that it does not name, none are.
        """
        parts = inside(self.shapes, self.units, kept)
        return torch.cat([part.flatten() for part in parts.values()])

    @cached_property
    def ascending(self) -> Tensor:
        """Which entries of a row of parameters ascend (d,), of booleans on the device of these."""
        parts = [
            torch.full((shape.numel(),), name in self.task.ascending) for name, shape in self.shapes.items()
        ]
        return torch.cat(parts).to(self.parameters.device, non_blocking=True)

    def _directed(self, gradients: Tensor) -> Tensor:
        """Gradients (..., d) with the sign turned in blocks that ascend."""
        return torch.where(self.ascending, -gradients, gradients) if self.task.ascending else gradients

    @abstractmethod
    def gradient(
        self, row: int, sample: Any, point: Tensor, *, own: bool = True, differentiable: bool = False
    ) -> Tensor:
        """The direction (d,) against which an agent's loss for a sample falls at ``point`` (d,).

        It is the gradient, with the sign turned in blocks that ascend. A point that is not its ``own``, but a
        neighbour's, leaves no trace in the agent. A ``differentiable`` one depends on ``point`` as automatic
        differentiation sees it.
        """

    @abstractmethod
    def evaluate(self, row: int) -> dict[str, float]:
        """What the task records of an agent."""

    @abstractmethod
    def finite(self, row: int) -> bool:
        """Whether all numbers of an agent are finite."""

    @abstractmethod
    def check_finite(self, what: str) -> None:
        """`Diverged`, in ``what``, if anything of an agent of this process is not finite; see `goes_on`."""

    @abstractmethod
    def tensors(self, optimizers: bool) -> dict[str, Tensor]:
        """The whole state of local agents by name, with or without that of their optimizers."""

    @abstractmethod
    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `tensors` gave; ValueError if it does not fit these agents."""

    @cached_property
    def symmetry(self) -> list[Group]:
        """The groups of neurons that can be re-ordered; `InputError` if there are none to speak of."""
        raise InputError(f"{type(self.task).__name__} has no neurons to match; expected matching: null")

    def reorder(self, agent: int, permutations: Permutations) -> None:
        """Put an agent's neurons in another order: its function is unchanged, and so is its training.

        ``agent`` may live in another process: what is kept here in its order follows, too.
        """
        raise InputError(f"{type(self.task).__name__} has no neurons to re-order")

    def samples(self, row: int, round: int) -> Iterator[Any]:
        """Endless samples of one agent's loss; a round always draws the same ones."""
        return self.task.samples(self.local_agents[row], round)

    def steps(self, round: int) -> Iterator["Step"]:
        """The steps of a round, each of all agents together."""
        in_round = self.epochs * self.steps_per_epoch
        numbers = range((round - 1) * in_round, round * in_round)
        for number, samples in zip(numbers, self.draws(round), strict=False):
            yield Step(self, number, number // self.steps_per_epoch, samples)
            self.steps_taken = [taken + 1 for taken in self.steps_taken]

    def draws(self, round: int) -> Iterator[Sequence[Any]]:
        """A sample for each row, again and again: those of `samples`."""
        return zip(*[self.samples(row, round) for row in range(len(self.local_agents))], strict=True)

    def gradients(self, samples: Sequence[Any], points: Tensor) -> Tensor:
        """G (n, d): `gradient` of each row's sample at its row of ``points`` (n, d)."""
        return torch.stack([self.gradient(row, sample, points[row]) for row, sample in enumerate(samples)])

    def meta_gradient(
        self, row: int, sample: Any, point: Tensor, rate: float, *, first_order: bool = False
    ) -> Tensor:
        """The gradient (d,) at ``point`` of the loss after a step of adaptation: that of MAML's objective.

        For each of the sample's episodes, of a support and a query, it is (I - rate H) g: g is the gradient
        for the query at point - rate (gradient for the support at ``point``), and H the Hessian for the
        support at ``point``, which is left out in ``first_order``. The mean over episodes. `InputError` for a
        task with blocks that ascend.
        """
        if self.task.ascending:
            raise InputError(f"{type(self.task).__name__} has variables that ascend; expected none to adapt")
        found = []
        for support, query in self.task.episodes(sample):
            start = point.detach().requires_grad_(not first_order)
            moved = start - rate * self.gradient(row, support, start, differentiable=not first_order)
            after = self.gradient(row, query, moved.detach(), own=False)
            found.append(after if first_order else torch.autograd.grad(moved, start, after)[0])
        return torch.stack(found).mean(0)


class Step(NamedTuple):
    """One step of all agents: its ``number`` and ``epoch`` since the start, and a sample for each row."""

    agents: Agents
    number: int
    epoch: int
    samples: Sequence[Any]

    def gradients(self, points: Tensor) -> Tensor:
        """G (n, d): each agent's direction at its row of ``points`` (n, d)."""
        return self.agents.gradients(self.samples, points)

    def meta_gradients(self, points: Tensor, rate: float, *, first_order: bool = False) -> Tensor:
        """G (n, d): each agent's `Agents.meta_gradient` at its row of ``points`` (n, d)."""
        rows = enumerate(zip(self.samples, points, strict=True))
        found = [
            self.agents.meta_gradient(row, sample, point, rate, first_order=first_order)
            for row, (sample, point) in rows
        ]
        return torch.stack(found)
