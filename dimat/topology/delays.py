"""Messages that arrive late: each takes a time of its own, up to a bound, and may be overtaken.

Bounded delays are what asynchronous methods are analysed under (AD-PSGD: Lian, Zhang, Zhang and Liu 2018).
Here all agents keep one clock, and what they receive is old.
"""

from collections.abc import Callable
from typing import Annotated

import numpy
from pydantic import Field

from dimat.randomness import Randomness
from dimat.spec import Spec
from dimat.topology.failures import LONG
from dimat.topology.mixing import round_off

NEVER = numpy.iinfo(numpy.int64).max
"""When a message arrives that is not sent."""


class Delays(Spec):
    """Each message takes d communications to arrive, drawn for itself: d >= k with probability `late`^k.

    d is `most` at most. An agent mixes with the newest message that has arrived from each neighbour; the
    first that is sent over a link arrives at once. What is lost, as links fail, does not arrive later.
    """

    most: Annotated[int, Field(ge=0, le=100)]
    """The longest delay, in communications; with 0 all messages are in time."""
    late: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Probability of each communication of delay; with 1 every message takes `most`."""

    @property
    def happen(self) -> bool:
        """Whether any message can be late."""
        return bool(self.most and self.late)

    def drawn(self, agents: int, time: int, randomness: Randomness) -> numpy.ndarray:
        """Delays (N, N) of what is sent at communication number ``time``, by receiver and sender."""
        uniform = randomness.numpy("delays", round=time).random((agents, agents, 1))
        return (uniform < self.late ** numpy.arange(1, self.most + 1)).sum(axis=2)


class Arrivals:
    """Which message of each agent is the newest that another has, over links that ``matrix_at`` a time uses.

    It hangs on the random source and on nothing else: it is found by replay.
    """

    def __init__(
        self,
        delays: Delays,
        matrix_at: Callable[[int], numpy.ndarray],
        agents: int,
        randomness: Randomness,
    ) -> None:
        self.most = delays.most
        self.agents = agents
        self._delays, self._matrix_at, self._randomness = delays, matrix_at, randomness
        self._begin()

    def at(self, time: int) -> numpy.ndarray:
        """When the newest message was sent that receiver i has of sender j at ``time``: (N, N), read-only.

        -1 where there is none; the diagonal says nothing.
        """
        if time < self._time:
            self._begin()
        while self._time < time:
            self._next()
        return self._newest

    def _begin(self) -> None:
        self._time = -1
        self._newest = numpy.full((self.agents, self.agents), -1)
        self._under_way: dict[int, numpy.ndarray] = {}  # when they arrive, by when they were sent

    def _next(self) -> None:
        self._time += 1
        time, newest = self._time, self._newest
        used = self._matrix_at(time) > 0
        drawn = self._delays.drawn(self.agents, time, self._randomness)
        self._under_way[time] = numpy.where(used, time + numpy.where(newest < 0, 0, drawn), NEVER)
        for sent, arrives in self._under_way.items():
            newest = numpy.where(arrives <= time, numpy.maximum(newest, sent), newest)
        self._under_way.pop(time - self.most, None)  # all of it has arrived
        newest.setflags(write=False)
        self._newest = newest


def contraction_with_delays(matrix_at: Callable[[int], numpy.ndarray], arrivals: Arrivals) -> float:
    """The factor by which each of `LONG` communications shrinks the disagreement, where messages are late.

    It is that of one fixed draw of the values of agents and of all that is under way at first, as a geometric
    mean. These come to agree, but in general not on the mean: values count for more the longer they are used.
    """
    agents, most = arrivals.agents, arrivals.most
    if agents == 1:
        return 0.0
    *first, values = Randomness("failures", 0).numpy("values").standard_normal((most + 1, agents))
    past = dict(enumerate(first))  # by when it was sent
    held = numpy.zeros((agents, agents))  # by receiver and sender
    known = numpy.full((agents, agents), -1)
    growth, before = 0.0, _spread(values, past)
    for time in range(most, most + LONG):
        past[time] = values
        newest = arrivals.at(time)
        for sent in numpy.unique(newest[newest > known]).tolist():
            held = numpy.where(newest == sent, past[sent], held)
        known = newest
        numpy.fill_diagonal(held, values)
        values = (matrix_at(time) * held).sum(axis=1)
        past.pop(time - most)
        size = _spread(values, past)
        if size <= round_off(numpy.eye(agents)) * before:
            return 0.0
        growth += float(numpy.log(size / before))
        before, centre = 1.0, values.mean()
        values, held = (values - centre) / size, numpy.where(newest < 0, 0, held - centre) / size
        past = {sent: (old - centre) / size for sent, old in past.items()}
    return float(numpy.exp(growth / LONG))


def _spread(values: numpy.ndarray, past: dict[int, numpy.ndarray]) -> float:
    """How far values (N,), and those of the past, are from the mean of these values."""
    return float(numpy.linalg.norm(numpy.stack([values, *past.values()]) - values.mean()))
