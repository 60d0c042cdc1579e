"""What methods have in common that communicate at every gradient step.

They are written in matrix form: X (n, d) has the parameters of an agent in each row, G = step.gradients(X)
their gradients, and communicator.mix(X) is W X.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.schedule import Scheduled
from dimat.agents.training import Training
from dimat.communication.communicator import Communicator
from dimat.merging.calibration.calibrate import calibrate
from dimat.merging.options import Merging
from dimat.methods.method import Stage
from dimat.methods.momentum import OwnMomentum
from dimat.methods.unmatched import Unmatched


class EveryStep(Unmatched, Scheduled):
    """A method that takes a gradient step and communicates, again and again."""

    communicates: ClassVar[Literal["round", "step", "never"]] = "step"
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Factor of the L2 term added to every gradient."""
    normalization: Literal["batch", "frozen"] = "batch"
    """Normalize by each batch, or, as the published code does from the second epoch on, by running statistics
    that no longer change."""

    @override
    def rate(self, training: Training) -> float:
        return self.learning_rate

    @override
    def weight_decay_in(self, training: Training) -> float:
        return self.weight_decay

    @override
    def with_rate(self, rate: float, training: Training) -> Self:
        return self.model_copy(update={"learning_rate": rate})

    @override
    def rounds(
        self, agents: Agents, communicator: Communicator, merging: Merging, first: int, last: int
    ) -> Iterator[Stage]:
        """What is yielded as merged is what communication in the round before gave."""
        agents.state.declare(self.keeps)
        for round in range(first, last + 1):
            if round == last:
                self.finish(agents, communicator)
            calibrate(agents, communicator, merging.calibration, round)
            yield Stage(round, "merged")
            if round < last:
                self.learn(agents, communicator, round)
                agents.check_finite(f"round {round} with {self.label()}")
                yield Stage(round, "trained")

    @abstractmethod
    def learn(self, agents: Agents, communicator: Communicator, round: int) -> None:
        """All steps of a round, with their communication."""

    def finish(self, agents: Agents, communicator: Communicator) -> None:
        """What is left to do after the last round."""


class Synchronous(EveryStep):
    """A method whose agents all take a step at the same time."""

    meets_attackers: ClassVar[bool] = True

    @override
    def learn(self, agents: Agents, communicator: Communicator, round: int) -> None:
        agents.state.declare(self.keeps)
        for step in agents.steps(round):
            agents.frozen = self.normalization == "frozen" and step.epoch > 0
            communicator.advance()
            agents.attacked(communicator.time)
            self.step(agents, communicator, step, self.rate_at(step.number, agents.steps_per_epoch))

    @abstractmethod
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        """One gradient step of all agents, with their communication."""

    def gradients(self, step: Step, points: Tensor) -> Tensor:
        """G (n, d): each agent's gradient at its row of ``points`` (n, d), with the L2 term."""
        return with_decay(step.gradients(points), self.weight_decay, points)


class LocalMomentum(OwnMomentum, Synchronous):
    """A method whose agents all take a step at the same time, along a running sum of their own gradients."""

    def direction(self, agents: Agents, gradients: Tensor) -> Tensor:
        """The gradients, or M <- momentum M + G, or, Nesterov's, G + momentum M after that."""
        if not self.momentum:
            return gradients
        kept = self.momentum * agents.state["momentum"] + gradients
        agents.state["momentum"] = kept
        return self.ahead(gradients, kept)


def with_decay(gradient: Tensor, weight_decay: float, point: Tensor) -> Tensor:
    """A ``gradient`` of a loss at a ``point``, or many, with that of weight_decay / 2 ||point||^2."""
    return gradient + weight_decay * point if weight_decay else gradient
