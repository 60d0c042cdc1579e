"""What a method that communicates at every step sees of the agents.

Whatever they learn, each agent i has parameters x_i in R^d and draws samples of its own loss f_i. A method
moves all of them at once, in matrix form: a row for each agent.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dimat.errors import InputError
from dimat.randomness import Randomness


class Diverged(InputError):
    """Training left the finite numbers."""


class Agents(ABC):
    """N agents, of which those in ``mine`` live in this process, one row of every tensor for each.

    ``memory`` is what a method keeps from step to step, by name, with a row for each agent, such as momentum;
    together with the parameters it is all of a method's state. ``steps_taken`` counts gradient steps;
    ``frozen`` asks agents that normalize batches to stop adapting to them.
    """

    epochs: int
    """Local epochs in a round."""
    steps_per_epoch: int
    """Steps of each agent in an epoch."""

    def __init__(self, agents: int, randomness: Randomness, mine: Sequence[int] | None = None) -> None:
        self.agents = agents
        self.randomness = randomness
        self.frozen = False
        self.mine = list(range(agents) if mine is None else mine)
        self.memory: dict[str, Tensor] = {}
        self.steps_taken = [0] * len(self.mine)

    @property
    @abstractmethod
    def parameters(self) -> Tensor:
        """X (n, d), a copy."""

    @parameters.setter
    @abstractmethod
    def parameters(self, values: Tensor) -> None:
        """Replace the parameters (n, d) of all agents of this process."""

    @abstractmethod
    def samples(self, row: int, round: int) -> Iterator[Any]:
        """Endless samples of one agent's loss; a round always draws the same ones."""

    @abstractmethod
    def gradient(self, row: int, sample: Any, point: Tensor, *, own: bool = True) -> Tensor:
        """The gradient (d,) of an agent's loss for a sample at ``point`` (d,).

        A point that is not its ``own``, but a neighbour's, leaves no trace in the agent.
        """

    def recall(self, name: str, like: Tensor) -> Tensor:
        """What is kept in memory as ``name``; zeros like ``like`` at first."""
        if name not in self.memory:
            self.memory[name] = torch.zeros_like(like)
        return self.memory[name]

    def steps(self, round: int) -> Iterator["Step"]:
        """The steps of a round, each of all agents together."""
        in_round = self.epochs * self.steps_per_epoch
        numbers = range((round - 1) * in_round, round * in_round)
        for number, samples in zip(numbers, self.draws(round), strict=False):
            yield Step(self, number, number // self.steps_per_epoch, samples)
            self.steps_taken = [taken + 1 for taken in self.steps_taken]

    def draws(self, round: int) -> Iterator[Sequence[Any]]:
        """A sample for each row, again and again: those of `samples`."""
        return zip(*[self.samples(row, round) for row in range(len(self.mine))], strict=True)

    def gradients(self, samples: Sequence[Any], points: Tensor) -> Tensor:
        """G (n, d): `gradient` of each row's sample at its row of ``points`` (n, d)."""
        return torch.stack([self.gradient(row, sample, points[row]) for row, sample in enumerate(samples)])


class Step(NamedTuple):
    """One step of all agents: its ``number`` and ``epoch`` since the start, and a sample for each row."""

    agents: Agents
    number: int
    epoch: int
    samples: Sequence[Any]

    def gradients(self, points: Tensor) -> Tensor:
        """G (n, d): each agent's gradient at its row of ``points`` (n, d)."""
        return self.agents.gradients(self.samples, points)
