"""Exchanges over a shared link: when all has arrived, if a controller says how fast agents may send.

Units are those of `queue`.
"""

from dataclasses import dataclass, field

import numpy
from numpy import ndarray

from dimat.communication.congestion.controller import Decide
from dimat.communication.congestion.queue import Feedback, Queues, jain

FINEST = 0.01
"""Shortest time between two events that are told apart."""
NOTHING = 1e-9
"""What is left of a message, or of an interval, that is gone through."""


@dataclass
class SharedLink:
    """One link, on which agent i sends at ``rates[i]`` (N,), changed by ``decide`` after every interval."""

    queues: Queues
    decide: Decide
    rates: ndarray
    now: float = 0.0
    offered: float = 0.0
    """What was sent so far, what was lost and had to be sent again among it."""
    lost: float = 0.0
    waited: float = 0.0
    """Sum of round trips over what was offered."""
    fairness: list[float] = field(default_factory=list)
    """Jain's index of how fast agents got their messages through, of each exchange."""

    def exchange(self, sizes: ndarray, ready: ndarray) -> ndarray:
        """When all that agents send has arrived (N,): ``sizes`` (N,), from the times ``ready`` (N,) on.

        A queue is left in the order in which it was entered: what enters last arrives after the queue that it
        finds, and half of the base round trip. Time goes on from event to event: an agent begins, or has sent
        all, or an interval ends. In between, rates are constant.
        """
        self.queues.take(numpy.zeros_like(sizes), max(0.0, ready.min() - self.now))
        self.now = ready.min()
        left, arrived = numpy.where(sizes > NOTHING, sizes, 0.0), ready.astype(float)
        sent, gone, interval = numpy.zeros_like(left), numpy.zeros_like(left), 1.0
        while (left > 0).any():
            sending = (left > 0) & (ready <= self.now + NOTHING)
            waits = numpy.where(sending, left / self.rates, ready - self.now)[left > 0]
            elapsed = min(interval, max(FINEST, waits.min()))
            amounts = numpy.where(sending, numpy.minimum(self.rates * elapsed, left), 0.0)
            told = self.queues.take(amounts, elapsed)
            self.now += elapsed
            interval -= elapsed
            left = left - amounts * (1 - told.lost)
            left[left < NOTHING] = 0.0
            done = sending & (left == 0)
            arrived[done] = self.now + (told.round_trip - self.queues.delay / 2)[done]
            sent, gone = sent + amounts, gone + amounts * told.lost
            self.waited += float(amounts @ told.round_trip)
            if interval < NOTHING:
                share = numpy.divide(gone, sent, out=numpy.zeros_like(gone), where=sent > 0)
                decided = self.decide(self.rates, Feedback(told.round_trip, share))
                self.rates = numpy.where(sent > 0, decided, self.rates)
                self.offered, self.lost = self.offered + sent.sum(), self.lost + gone.sum()
                sent, gone, interval = numpy.zeros_like(left), numpy.zeros_like(left), 1.0
        self.offered, self.lost = self.offered + sent.sum(), self.lost + gone.sum()
        if (some := sizes > NOTHING).any():
            self.fairness.append(jain(sizes[some] / (arrived - ready)[some]))
        return arrived
