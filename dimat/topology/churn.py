"""Agents that sleep and wake: at random, with memory, or in turns.

Agents that are not always there, as in the analysis of partial participation (Rizk, Yuan and Sayed 2024,
arXiv 2402.05529), with Markov chains or in cycles (Cho, Sharma, Joshi, Xu, Kale and Zhang 2023).
"""

from abc import abstractmethod
from typing import Annotated, Literal, Self

import numpy
from pydantic import Field, model_validator
from typing_extensions import override

from dimat.randomness import Randomness
from dimat.spec import OneOf, Spec
from dimat.topology.chains import chains

Chance = Annotated[float, Field(gt=0, le=1)]


class Churn(Spec):
    """Who sleeps at which communication. Who sleeps neither sends nor receives, but trains on by itself.

    Training goes on since what a step without neighbours is differs between methods, and is theirs to say.
    """

    @property
    @abstractmethod
    def period(self) -> int:
        """The number of communications after which it is the same again for sure; 0 if it is random."""

    @abstractmethod
    def asleep(self, agents: int, time: int, randomness: Randomness) -> numpy.ndarray:
        """Which of ``agents`` agents sleep at communication number ``time``: booleans (agents,)."""


class Markov(Churn):
    """Each agent falls asleep and wakes by itself, from one communication to the next (a Markov chain).

    In the long run it is awake for a share wake / (sleep + wake) of the communications; so it is at first.
    """

    name: Literal["markov"] = "markov"
    sleep: Chance
    """Probability that an agent that is awake sleeps at the next communication."""
    wake: Chance
    """Probability that an agent that sleeps is awake at the next communication: it sleeps through 1 / wake of
    them in a row, on average."""

    @property
    @override
    def period(self) -> int:
        return 0

    @override
    def asleep(self, agents: int, time: int, randomness: Randomness) -> numpy.ndarray:
        return chains(self.sleep, self.wake, (agents,), randomness, "churn").at(time)


class InTurns(Churn):
    """Groups of agents take turns to be awake; agent i is of group i mod `groups`."""

    name: Literal["cyclic"] = "cyclic"
    groups: Annotated[int, Field(ge=2, le=1000)] = 3
    """Number of groups."""
    awake: Annotated[int, Field(ge=1, le=1000)] = 2
    """Groups that are awake at a time: k, k + 1, ..., modulo their number, in turn k. With one, links between
    groups would never be in use."""
    turn: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Communications that a turn lasts."""

    @model_validator(mode="after")
    def _some_sleep(self) -> Self:
        if self.awake >= self.groups:
            raise ValueError(f"awake: {self.awake} of {self.groups} groups; expected fewer than there are")
        return self

    @property
    @override
    def period(self) -> int:
        return self.groups * self.turn

    @override
    def asleep(self, agents: int, time: int, randomness: Randomness) -> numpy.ndarray:
        first = time // self.turn
        return (numpy.arange(agents) - first) % self.groups >= self.awake


AnyChurn = Annotated[Markov | InTurns, OneOf()]
