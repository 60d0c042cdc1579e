"""No control: every flow sends at one rate, whatever comes of it."""

from typing import Annotated, ClassVar, Literal

import numpy
from numpy import ndarray
from pydantic import Field
from typing_extensions import override

from dimat.communication.congestion.controller import LEAST, MOST, Controller, Decide
from dimat.communication.congestion.policy import Policy


class Fixed(Controller):
    """Send at a rate that is given, which suits one number of flows."""

    name: Literal["fixed"] = "fixed"
    title: ClassVar[str] = "fixed rate"
    rate: Annotated[float, Field(ge=LEAST, le=MOST)] = 1.0
    """Share of the link's capacity at which each agent sends."""

    @override
    def label(self) -> str:
        return f"{self.title} {self.rate:g}"

    @override
    def first(self, rates: ndarray) -> ndarray:
        return numpy.full_like(rates, self.rate)

    @override
    def open(self, policy: Policy | None) -> Decide:
        return lambda rates, told: rates
