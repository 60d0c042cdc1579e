"""Chains of two states, in and out, that remember: who sleeps now, and which links lose messages now."""

from functools import lru_cache

import numpy

from dimat.randomness import Randomness


class Chains:
    """Independent Markov chains of one law, in an array of ``shape``; all begin as they are in the long run.

    One that is out goes in with probability ``enter`` from one time to the next, and one that is in goes out
    with ``leave``. So it is in for a share enter / (enter + leave) of the time, 1 / leave times in a row on
    average. The state at a time hangs on the random source and on nothing else: it is found by replay.
    """

    def __init__(
        self, enter: float, leave: float, shape: tuple[int, ...], randomness: Randomness, purpose: str
    ) -> None:
        self.enter, self.leave, self.shape = enter, leave, shape
        self._randomness, self._purpose = randomness, purpose
        self._time, self._state = 0, self._first()

    def at(self, time: int) -> numpy.ndarray:
        """Which chains are in at a ``time``, 0 or later: booleans of ``shape``, read-only."""
        if time < self._time:
            self._time, self._state = 0, self._first()
        while self._time < time:
            self._time += 1
            drawn = self._drawn(self._time)
            self._state = numpy.where(self._state, drawn >= self.leave, drawn < self.enter)
        self._state.setflags(write=False)
        return self._state

    def _first(self) -> numpy.ndarray:
        return self._drawn(0) < self.enter / (self.enter + self.leave)

    def _drawn(self, time: int) -> numpy.ndarray:
        return self._randomness.numpy(self._purpose, round=time).random(self.shape)


@lru_cache(maxsize=32)
def chains(
    enter: float, leave: float, shape: tuple[int, ...], randomness: Randomness, purpose: str
) -> Chains:
    """The same `Chains` for the same law and source, so that who asks in order of time replays nothing."""
    return Chains(enter, leave, shape, randomness, purpose)
