"""Tasks whose variables are those of a network: losses and gradients by automatic differentiation."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import chain, count
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call
from typing_extensions import override

from dimat.errors import InputError
from dimat.models.passes import Pass
from dimat.tasks.task import Task

Phase = Literal["pretrain", "train"]
"""Before the first merge, and between merges."""


class AnyNetwork(Protocol):
    """What a loss is told of a network: its outputs, and parameters by name."""

    def __call__(self, *inputs: Any) -> Any:
        """The outputs for ``inputs``."""
        ...

    def get_parameter(self, target: str) -> Tensor:
        """The parameter with a name."""
        ...


class At:
    """A ``network`` with other parameters, or buffers, in place of its own; ``state`` has them by name."""

    def __init__(self, network: nn.Module, state: dict[str, Tensor]) -> None:
        self._network = network
        self._state = state

    def __call__(self, *inputs: Any) -> Any:
        """The outputs for ``inputs``."""
        return functional_call(self._network, self._state, inputs)

    def get_parameter(self, target: str) -> Tensor:
        """The parameter with a name, of the ``state``."""
        return self._state[target]


class NetworkTask(Task):
    """A task of networks: the variables of an agent are the parameters of a module.

    Buffers of the module, such as running statistics, are the agent's as well; they follow its own samples.
    ``steps_per_epoch`` are those of the mean agent.
    """

    device: torch.device
    steps_per_epoch: int

    @abstractmethod
    def variables(self, agent: int) -> nn.Module:
        """An agent's network before any step, on the task's device."""

    @abstractmethod
    def loss(self, network: AnyNetwork, sample: Any) -> Tensor:
        """The loss of a network for one sample: a scalar that can be differentiated."""

    @abstractmethod
    def evaluate(self, agent: int, network: nn.Module) -> dict[str, float]:
        """What is recorded of an agent's network, which is left in evaluation mode; `metric` is among it."""

    def training_loss(self, network: nn.Module) -> float:
        """Mean loss of a network over the training images of all agents; `InputError` if there are none.

        They are not augmented; the network is left in evaluation mode, as by `part_scores`.
        """
        raise InputError(
            f"measures: {type(self).__name__} has no training images; expected measures without training_loss"
        )

    def minimizer(self, weight_decay: float) -> Tensor:
        """The parameters (d,) at which the mean loss of agents, with the L2 term, is least; `InputError`.

        An agent's loss is the mean over what it trains on between merges, without augmentation.
        """
        raise InputError(
            f"measures: {type(self).__name__} has no known minimizer; expected measures without optimum"
        )

    def part_scores(self, network: nn.Module) -> list[float]:
        """`metric` of a network on the part of the test set of each agent; `InputError` if it has no parts.

        Part m is drawn from the test images as agent m's training images were from all: those of a class
        weigh as much as the share of this class's training images that agent m holds between merges.
        """
        raise InputError(
            f"measures: {type(self).__name__} has no test images in parts; expected measures without parts"
        )

    def adapted_scores(self, network: nn.Module) -> list[float]:
        """`metric` of a network after 0, 1, 2, ... steps of adaptation; `InputError` if it does not adapt.

        The network stays as it is, and is left in evaluation mode.
        """
        raise InputError(
            f"measures: {type(self).__name__} has nothing to adapt to; expected measures without adaptation"
        )

    @abstractmethod
    def epoch(self, agent: int, phase: Phase, round: int, epoch: int) -> Sequence[Any] | Iterator[Any]:
        """The samples of one pass of an agent over what it has in a ``phase``."""

    @abstractmethod
    def epoch_length(self, agent: int, phase: Phase) -> int:
        """How many samples `epoch` gives."""

    @override
    def samples(self, agent: int, round: int) -> Iterator[Any]:
        """Those of one epoch after the other."""
        return chain.from_iterable(self.epoch(agent, "train", round, epoch) for epoch in count())

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of an input; `InputError` for a task without images to look at."""
        raise self._blind()

    def inputs(
        self,
        holders: Sequence[int],
        limit: int | None,
        augmented: bool,
        generator: torch.Generator,
        batch_size: int | None = None,
    ) -> Pass:
        """Passes over the inputs that ``holders`` hold, at most ``limit`` of them, in random order.

        ``batch_size`` is that of training by default.
        """
        raise self._blind()

    def test_inputs(self, limit: int | None, generator: torch.Generator) -> Pass:
        """Passes over test inputs, at most ``limit`` of them, in random order."""
        raise self._blind()

    def held_bytes(self, agent: int) -> int:
        """Bytes of all inputs that an agent holds, as they would be sent."""
        raise self._blind()

    def _blind(self) -> InputError:
        return InputError(f"{type(self).__name__} has no images to match or calibrate on; expected neither")
