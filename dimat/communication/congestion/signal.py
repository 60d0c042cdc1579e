"""The signal of RL-CC, and where rates and queue are at rest if it is 0 for every flow.

Tessler, Shpigelman, Dalal, Mandelbaum, Haritan Kazakov, Fuhrer, Chechik and Mannor 2021 (arXiv 2102.09337).
Round trips are in base round-trip times of the link, rates in shares of its capacity.
"""

from typing import Annotated

import numpy
from numpy import ndarray
from pydantic import Field

from dimat.communication.congestion.controller import LEAST, MOST, Controller

STEP = 0.2
"""Largest relative change of a rate: actions 1 and -1 multiply and divide by 1 + STEP."""
SCALE = 12.5
"""Of signals, so that a policy sees numbers of the order of 1."""


class OnSignal(Controller):
    """A controller whose flows drive their signal to 0, the less delay the more they send."""

    tolerated: Annotated[float, Field(ge=1, le=100)] = 1.5
    """Round-trip time that is no congestion yet, over that of an empty queue."""
    target: Annotated[float, Field(gt=0, le=10)] = 0.064
    """Delay beyond that, times the root of the rate, at which a flow keeps its rate."""

    def signals(self, round_trip: ndarray, rates: ndarray) -> ndarray:
        """What is to be 0, of each flow (F,): positive where it should send less."""
        beyond = numpy.maximum(round_trip - self.tolerated, 0.0)
        return SCALE * (beyond * numpy.sqrt(rates) - self.target)

    def at_rest(self, delay: ndarray) -> tuple[float, ndarray]:
        """The queue, and the rates (F,) of flows, where all signals are 0.

        A signal of 0 is rate = (target / (delay + queue - tolerated))^2, where ``delay`` (F,) are round trips
        without the queue. A link with a queue is full, so that rates add up to 1, and as their sum falls in
        the queue, there is one solution. N flows of equal delay have rates 1 / N, and a round trip of
        tolerated + target sqrt(N); flows of other delays have other rates.
        """
        low, high = self.tolerated - delay.min(), self.tolerated + self.target * len(delay) ** 0.5
        for _ in range(200):
            queue = (low + high) / 2
            if self._rates(delay, queue).sum() > 1:
                low = queue
            else:
                high = queue
        return high, self._rates(delay, high)

    def _rates(self, delay: ndarray, queue: float) -> ndarray:
        beyond = numpy.maximum(delay + queue - self.tolerated, 1e-12)
        return (self.target / beyond) ** 2


def moved(rates: ndarray, actions: ndarray) -> ndarray:
    """The rates (F,) after ``actions`` (F,) between -1 and 1."""
    factors = numpy.where(actions >= 0, 1 + STEP * actions, 1 / (1 - STEP * actions))
    return (rates * factors).clip(LEAST, MOST)
