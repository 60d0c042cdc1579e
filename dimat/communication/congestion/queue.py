"""Links that several flows share, each with one queue: a fluid model.

Units: data in what the link carries in one base round-trip time, time in base round-trip times, rates in
shares of the capacity. So the capacity is 1, and a queue is as long as the time that it takes to leave it.
"""

from dataclasses import dataclass, field

import numpy
from numpy import ndarray


@dataclass(frozen=True)
class Feedback:
    """What flows (F,) are told after an interval: their ``round_trip``, and which share was ``lost``."""

    round_trip: ndarray
    lost: ndarray


@dataclass
class Queues:
    """L queues of at most ``buffer``, with F flows.

    Flow f uses link ``link[f]``, and its round trip takes ``delay[f]`` plus the queue. What finds no room is
    lost, of each flow the same share. ``length`` (L,) are the queues, ``served`` (L,) what left them in the
    last interval.
    """

    link: ndarray
    delay: ndarray
    buffer: float
    length: ndarray = field(init=False)
    served: ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.length = numpy.zeros(int(self.link.max()) + 1)
        self.served = numpy.zeros_like(self.length)

    def take(self, amounts: ndarray, elapsed: float = 1.0) -> Feedback:
        """Let flows send ``amounts`` (F,), evenly over an interval: exact where rates are constant.

        A queue grows by what arrives beyond the capacity, dq/dt = sum of rates - 1, between empty and full.
        """
        arriving = numpy.bincount(self.link, amounts, len(self.length))
        filled = self.length + arriving - elapsed
        after = numpy.clip(filled, 0.0, self.buffer)
        refused = numpy.maximum(filled - self.buffer, 0.0)
        self.served = self.length + arriving - refused - after
        self.length = after
        share = numpy.divide(refused, arriving, out=numpy.zeros_like(refused), where=arriving > 0)
        return Feedback(self.delay + after[self.link], share[self.link])


def jain(rates: ndarray) -> float:
    """Jain's index of rates (F,): 1 if all are equal, 1 / F if one has all (Jain, Chiu and Hawe 1984)."""
    return float(rates.sum() ** 2 / (len(rates) * (rates**2).sum()))
