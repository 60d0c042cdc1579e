"""AIMD: additive increase, multiplicative decrease (Chiu and Jain 1989)."""

from typing import Annotated, ClassVar, Literal

import numpy
from numpy import ndarray
from pydantic import Field
from typing_extensions import override

from dimat.communication.congestion.controller import LEAST, MOST, Controller, Decide
from dimat.communication.congestion.policy import Policy
from dimat.communication.congestion.queue import Feedback


class Aimd(Controller):
    """Where nothing was lost, send a little faster; where something was, at a share of the rate.

    Steps upwards keep the difference of two rates and steps downwards shrink it, so that rates become equal.
    """

    name: Literal["aimd"] = "aimd"
    title: ClassVar[str] = "AIMD"
    increase: Annotated[float, Field(gt=0, le=1)] = 0.01
    """What a rate grows by in a base round-trip time, as a share of the capacity."""
    decrease: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Factor of a rate after a loss."""

    @override
    def open(self, policy: Policy | None) -> Decide:
        def decide(rates: ndarray, told: Feedback) -> ndarray:
            changed = numpy.where(told.lost > 0, rates * self.decrease, rates + self.increase)
            return changed.clip(LEAST, MOST)

        return decide
