"""What methods have in common that communicate at every gradient step.

They are written in matrix form: X (n, d) has the parameters of an agent in each row, G = step.gradients(X)
their gradients, and network.mix(X) is W X.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.networks import Fleet
from dimat.agents.optimizers import Rate
from dimat.agents.training import Training
from dimat.communication.communicator import Network
from dimat.errors import InputError
from dimat.merging.calibration.images import share_images, visible_images
from dimat.merging.calibration.recalibration import recalibrate
from dimat.merging.options import Merge
from dimat.methods.method import Method, Stage


class Gossip(Method):
    """A method that takes a gradient step and communicates, again and again."""

    learning_rate: Rate = 0.01
    """Step size."""
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor of the step size after each local epoch."""
    normalization: Literal["batch", "frozen"] = "batch"
    """Normalize by each batch, or, as the published code does from the second epoch on, by running statistics
    that no longer change."""

    @override
    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """Of a merge only the calibration of normalization is left."""
        return super().canonical(point) | {"merge": only_calibration(self.name, point["merge"])}

    @override
    def rate(self, training: Training) -> float:
        return self.learning_rate

    @override
    def faster(self, factor: float, training: Training) -> "Gossip":
        return self.model_copy(update={"learning_rate": self.learning_rate * factor})

    @override
    def rounds(
        self, fleet: Fleet, network: Network, merge: Merge | None, first: int, last: int
    ) -> Iterator[Stage]:
        """What is yielded as merged is what communication in the round before gave."""
        for round in range(first, last + 1):
            if round == last:
                self.finish(fleet, network)
            calibrate(fleet, network, merge, round)
            yield Stage(round, "merged")
            if round < last:
                self.learn(fleet, network, round)
                for row in range(len(fleet.mine)):
                    fleet.check_finite(row, f"round {round} with {self.label()}")
                yield Stage(round, "trained")

    @abstractmethod
    def learn(self, agents: Agents, network: Network, round: int) -> None:
        """All steps of a round, with their communication."""

    def finish(self, agents: Agents, network: Network) -> None:
        """What is left to do after the last round."""


class Synchronous(Gossip):
    """A method whose agents all take a step at the same time."""

    @override
    def learn(self, agents: Agents, network: Network, round: int) -> None:
        for step in agents.steps(round):
            agents.frozen = self.normalization == "frozen" and step.epoch > 0
            network.advance()
            self.step(agents, network, step, self.learning_rate * self.decay**step.epoch)

    @abstractmethod
    def step(self, agents: Agents, network: Network, step: Step, rate: float) -> None:
        """One gradient step of all agents, with their communication."""


class LocalMomentum(Synchronous):
    """A method whose agents may step along a running sum of their own gradients."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the running sum."""

    def direction(self, agents: Agents, gradients: Tensor) -> Tensor:
        """The gradients, or M <- momentum M + G."""
        if not self.momentum:
            return gradients
        kept = self.momentum * agents.recall("momentum", gradients) + gradients
        agents.memory["momentum"] = kept
        return kept


def only_calibration(method: str, merge: Merge) -> Merge:
    """What is left of a merge for a ``method`` without parents to match: the calibration of normalization."""
    if merge.repair not in ("none", "recalibrate"):
        raise InputError(
            f"merge.repair: {merge.repair!r} restores the statistics of matched networks; with method "
            f"{method} valid is 'none' or 'recalibrate'"
        )
    plain = merge.without_matching()
    return Merge(
        **{key: getattr(plain, key) for key in ("matcher", "repair", "images", "limit", "augmented")}
    )


def calibrate(fleet: Fleet, network: Network, merge: Merge, round: int) -> None:
    """Recalibrate normalization for evaluation, on the images that each agent may look at."""
    if merge.repair == "recalibrate":
        if round == 1:
            share_images(fleet, network, merge)
        for agent, model in zip(fleet.mine, fleet.models, strict=True):
            recalibrate(model, visible_images(fleet, network, merge, agent, round)())
