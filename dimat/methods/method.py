"""What every decentralized method is: a generator over rounds."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from typing_extensions import override

from dimat.agents.networks import Fleet
from dimat.agents.optimizers import AnyOptimizer
from dimat.agents.training import Training
from dimat.communication.communicator import Network
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.merging.options import Merge
from dimat.spec import Spec


class Stage(NamedTuple):
    """What has just happened in which round, and what there is to say about it layer by layer."""

    round: int
    name: Literal["merged", "trained"]
    diagnostics: Sequence[Diagnostic] = ()


class Method(Spec):
    """A decentralized learning method.

    ``title`` is its name in figures. ``ignores`` are the axes of the grid that do not matter to it;
    runs that differ only there are one run. ``pushes`` says that links need only be column-stochastic.
    """

    title: ClassVar[str]
    ignores: ClassVar[frozenset[str]] = frozenset()
    pushes: ClassVar[bool] = False

    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """The grid point with what the method ignores set to `None`."""
        return {axis: None if axis in self.ignores else value for axis, value in point.items()}

    def legend(self) -> str:
        """The title, and what differs from the defaults but for step sizes, for legends and tables."""
        changed = [
            getattr(value, "name", None) or f"{key.replace('_', ' ')} {value}"
            for key, value in self
            if key not in ("name", "learning_rate", "decay") and value != type(self).model_fields[key].default
        ]
        return ", ".join([self.title, *changed])

    def answers(self, merge: Merge | None) -> bool:
        """Whether agents also send to those whom they receive from, so that links need both directions."""
        return False

    @abstractmethod
    def rate(self, training: Training) -> float:
        """The learning rate, at first; ``training`` has what the method does not say."""

    def optimizer_of(self, training: Training) -> AnyOptimizer:
        """The optimizer of local training."""
        return training.optimizer

    @abstractmethod
    def faster(self, factor: float, training: Training) -> "Method":
        """The same method with ``factor`` times its learning rate; ``training`` has what it does not say."""

    @abstractmethod
    def rounds(
        self, fleet: Fleet, network: Network, merge: Merge | None, first: int, last: int
    ) -> Iterator[Stage]:
        """Carry out rounds ``first`` to ``last``: each merges, yields, trains and yields again.

        The last round ends after its merge. All state lies in ``fleet``: a generator started at round k
        with the fleet of an interrupted run continues that run.
        """


class LocalTraining(Method):
    """A method whose agents train for whole epochs by themselves, with any optimizer."""

    optimizer: AnyOptimizer | None = None
    """Optimizer between merges; null is that of `training`, which is the one before the first merge."""

    @override
    def rounds(
        self, fleet: Fleet, network: Network, merge: Merge | None, first: int, last: int
    ) -> Iterator[Stage]:
        for round in range(first, last + 1):
            diagnostics = self.communicate(fleet, network, merge, round)
            yield Stage(round, "merged", diagnostics)
            if round < last:
                fleet.train(round)
                yield Stage(round, "trained")

    @abstractmethod
    def communicate(
        self, fleet: Fleet, network: Network, merge: Merge | None, round: int
    ) -> Sequence[Diagnostic]:
        """What agents do with each other's networks in a round, and what there is to say about it."""

    @override
    def optimizer_of(self, training: Training) -> AnyOptimizer:
        return self.optimizer or training.optimizer

    @override
    def rate(self, training: Training) -> float:
        return self.optimizer_of(training).learning_rate

    @override
    def faster(self, factor: float, training: Training) -> "LocalTraining":
        optimizer = self.optimizer_of(training)
        rate = optimizer.learning_rate * factor
        return self.model_copy(update={"optimizer": optimizer.model_copy(update={"learning_rate": rate})})
