"""What a method is: a generator over rounds."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy
from typing_extensions import override

from dimat.agents.agents import Agents
from dimat.agents.networks import Networks
from dimat.agents.optimizers import AnyOptimizer
from dimat.agents.state import Kept
from dimat.agents.training import Training
from dimat.communication.communicator import Communicator
from dimat.errors import InputError
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.merging.matching.options import Matching
from dimat.merging.options import Merging
from dimat.spec import Spec


class Stage(NamedTuple):
    """What has just happened in which round, and what there is to say about it layer by layer."""

    round: int
    name: Literal["merged", "trained"]
    diagnostics: Sequence[Diagnostic] = ()


class Method(Spec):
    """A decentralized learning method, and what it declares about itself."""

    title: ClassVar[str]
    """Its name in figures and tables."""
    ignores: ClassVar[frozenset[str]] = frozenset()
    """Axes of the grid that do not matter to it; runs that differ only there are one run."""
    communicates: ClassVar[Literal["round", "step", "never"]]
    """When agents exchange models: once in a round, at gradient steps, or never."""
    every_link: ClassVar[bool] = False
    """Whether each communication, once in a round or at every step, sends a model over every link, once."""
    deals_channels: ClassVar[bool] = False
    """Whether the hidden channels of every group are dealt out among an agent and those who send to it."""
    column_stochastic: ClassVar[bool] = False
    """Whether weights need only be column-stochastic, as where links carry messages one way."""
    meets_attackers: ClassVar[bool] = False
    """Whether it lets an attacker act before each communication, of which there are no others."""
    bears_delays: ClassVar[bool] = False
    """Whether agents may be sent what is older than their own: each communication is one exchange of whole
    models over every link, and nothing hangs on all of them being of the same time."""
    takes_turns: ClassVar[bool] = False
    """Whether one agent works at a time, so that the time of all is the sum of theirs."""
    sparing: ClassVar[bool] = False
    """Whether it was made to send little: figures of what is reached with few bytes are drawn where it is."""
    keeps: ClassVar[tuple[Kept, ...]] = ()
    """The blocks that it keeps of each agent or link from step to step."""

    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """The grid point with what the method ignores set to `None`."""
        return {axis: None if axis in self.ignores else value for axis, value in point.items()}

    def needs_undirected(self, matching: Matching | None) -> bool:
        """Whether agents also send to those whom they receive from, so that links need both directions."""
        return False

    def check_graph(self, whole: numpy.ndarray) -> None:
        """`InputError` if it cannot use the links of ``whole`` (N, N), as `Communicator.whole` has them."""

    @abstractmethod
    def rate(self, training: Training) -> float:
        """The learning rate, at first; ``training`` has what the method does not say."""

    def optimizer_of(self, training: Training) -> AnyOptimizer:
        """The optimizer of local training."""
        return training.optimizer

    def weight_decay_in(self, training: Training) -> float:
        """The factor of the L2 term of what is minimized between merges."""
        return self.optimizer_of(training).weight_decay

    @abstractmethod
    def with_rate(self, rate: float, training: Training) -> Self:
        """The same method with another learning rate; ``training`` has what it does not say."""

    @abstractmethod
    def rounds(
        self, agents: Agents, communicator: Communicator, merging: Merging, first: int, last: int
    ) -> Iterator[Stage]:
        """Carry out rounds ``first`` to ``last``: each merges, yields, trains and yields again.

        The last round ends after its merge. All state lies in ``agents``: a generator started at round k
        with the agents of an interrupted run continues that run.
        """


class LocalTraining(Method):
    """A method whose agents train for whole epochs by themselves, with any optimizer."""

    optimizer: AnyOptimizer | None = None
    """Optimizer between merges; null is that of `training`, which is the one before the first merge."""

    @override
    def rounds(
        self, agents: Agents, communicator: Communicator, merging: Merging, first: int, last: int
    ) -> Iterator[Stage]:
        if not isinstance(agents, Networks):
            raise InputError(f"method {self.label()} trains networks; expected a task of networks")
        agents.state.declare(self.keeps)
        for round in range(first, last + 1):
            diagnostics = self.communicate(agents, communicator, merging, round)
            yield Stage(round, "merged", diagnostics)
            if round < last:
                agents.train(round)
                yield Stage(round, "trained")

    @abstractmethod
    def communicate(
        self, agents: Networks, communicator: Communicator, merging: Merging, round: int
    ) -> Sequence[Diagnostic]:
        """What agents do with each other's networks in a round, and what there is to say about it."""

    @override
    def optimizer_of(self, training: Training) -> AnyOptimizer:
        return self.optimizer or training.optimizer

    @override
    def rate(self, training: Training) -> float:
        return self.optimizer_of(training).learning_rate

    @override
    def with_rate(self, rate: float, training: Training) -> Self:
        optimizer = self.optimizer_of(training).model_copy(update={"learning_rate": rate})
        return self.model_copy(update={"optimizer": optimizer})
