"""The options of a link that all agents share."""

from typing import Annotated, Self

import numpy
from numpy import ndarray
from pydantic import Field, model_validator

from dimat.communication.congestion import Adpg, Aimd, AnyController, Fixed
from dimat.communication.congestion.controller import LEAST, MOST
from dimat.communication.congestion.signal import OnSignal
from dimat.spec import Axis, Spec


class Bottleneck(Spec):
    """One link that all agents share, with a queue: simulated times of the runs, which are not trained anew.

    Agents send as fast as a congestion controller allows. Methods communicate once in a round or at every
    step; the bytes that were recorded of a round are shared out evenly among its exchanges, and nobody goes
    on before all that was sent has arrived. What the link loses is sent again. Every round trip is gone
    through, so that large networks on a slow link take long to simulate.
    """

    capacity: Annotated[float, Field(gt=0)] = 1.0
    """Megabytes (10^6 bytes) in a second, of all agents together."""
    round_trip: Annotated[float, Field(gt=0)] = 20.0
    """Milliseconds of a round trip while the queue is empty, of the nearest agent."""
    spread: Annotated[float, Field(ge=0, le=10)] = 0.0
    """By how much longer that is for the farthest agent, as a share; those between are evenly apart."""
    buffer: Annotated[float, Field(gt=0, le=1000)] = 4.0
    """The longest queue, in what the link carries in an empty round trip."""
    step: Annotated[float, Field(ge=0)] = 50.0
    """Milliseconds of a gradient step."""
    first_rate: Annotated[float, Field(ge=LEAST, le=MOST)] = 0.1
    """Share of the capacity at which agents begin to send, where controllers change it."""
    controller: Axis[AnyController] = (Fixed(), Aimd(), Adpg())
    """Congestion controllers; each run is simulated with each."""

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        for each in self.controller:
            if isinstance(each, OnSignal) and each.tolerated >= 1 + self.buffer:
                raise ValueError(
                    f"expected controllers that tolerate less than 1 + buffer = {1 + self.buffer:g} round "
                    f"trips, got {each.tolerated:g} of {each.title}"
                )
        return self

    def delays(self, agents: int) -> ndarray:
        """Round trips (N,) through an empty queue, over that of the nearest agent."""
        return base_delays(self.spread, agents)


def base_delays(spread: float, flows: int) -> ndarray:
    """Round trips (F,) from 1 to 1 + ``spread``, evenly apart."""
    return 1 + spread * numpy.arange(flows) / max(1, flows - 1)
