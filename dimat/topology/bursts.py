"""Links that lose messages in bursts (Gilbert 1960, Elliott 1963)."""

from typing import Annotated, Self

import numpy
from pydantic import Field, model_validator

from dimat.randomness import Randomness
from dimat.spec import Spec
from dimat.topology.chains import chains


class Bursts(Spec):
    """Each link is good or bad, a Markov chain of its own; a bad one loses what is sent over it.

    With `length` 1 / (1 - `share`), losses do not hang on those before: they are like `link_failures`.
    """

    share: Annotated[float, Field(gt=0, lt=1)]
    """The share of communications at which a link is bad, in the long run and at first."""
    length: Annotated[float, Field(ge=1, le=1e6)]
    """The mean number of communications in a row at which a link is bad."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.enter > 1:
            least = self.share / (1 - self.share)
            raise ValueError(
                f"length: {self.length:g}; links that are bad for a share {self.share:g} of the time are so "
                f"at least {least:.3g} times in a row on average; expected that or more"
            )
        return self

    @property
    def leave(self) -> float:
        """Probability that a bad link is good at the next communication."""
        return 1 / self.length

    @property
    def enter(self) -> float:
        """Probability that a good link is bad at the next communication."""
        return self.share / ((1 - self.share) * self.length)

    def bad(self, agents: int, time: int, randomness: Randomness, one_way: bool) -> numpy.ndarray:
        """Booleans (agents, agents) at communication ``time``: whether i gets nothing of what j sends.

        Links are bad in both directions unless they are so ``one_way``.
        """
        found = chains(self.enter, self.leave, (agents, agents), randomness, "bursts").at(time)
        if one_way:
            return found
        upper = numpy.triu(found)
        return upper | upper.T
