"""A rule without learning on the signal of RL-CC, to see what its policy is worth."""

from typing import Annotated, ClassVar, Literal

import numpy
from numpy import ndarray
from pydantic import Field
from typing_extensions import override

from dimat.communication.congestion.controller import Decide
from dimat.communication.congestion.policy import Policy
from dimat.communication.congestion.queue import Feedback
from dimat.communication.congestion.signal import OnSignal, moved


class Proportional(OnSignal):
    """The action is -tanh(gain times signal)."""

    name: Literal["proportional"] = "proportional"
    title: ClassVar[str] = "proportional rule"
    gain: Annotated[float, Field(gt=0, le=100)] = 0.5
    """How much an action changes with the signal."""

    @override
    def open(self, policy: Policy | None) -> Decide:
        def decide(rates: ndarray, told: Feedback) -> ndarray:
            return moved(rates, -numpy.tanh(self.gain * self.signals(told.round_trip, rates)))

        return decide
