"""When neurons are matched: anew in every round, or once, or again only where it is worth it.

Agents that have merged share much of their weights in the places where these stand. To match anew gives
that up wherever noise makes another order look better. A reward for standing still weighs against it; or
agents hold their places unless new ones bring them closer to each other.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from dimat.spec import OneOf, Spec


@dataclass(frozen=True)
class Reward:
    """What standing still is worth, in the matcher's objective where a perfectly matched channel adds 1.

    ``each`` is for every channel that stays in its place; ``whole`` for every channel of a group that
    stays in place as a whole.
    """

    each: float = 0.0
    whole: float = 0.0


class Rematching(Spec):
    """When neurons are matched. All but the published way start by moving agents to a common frame."""

    holds: ClassVar[bool] = True
    if_closer: ClassVar[bool] = False
    """Whether agents move to new frames after the first merge only if they are closer to each other there."""

    def due(self, round: int) -> bool:
        """Whether neurons are matched in ``round`` (from 1)."""
        return True

    def reward(self, round: int) -> Reward:
        """The reward for standing still in ``round``; at the first meeting there is nothing to hold."""
        return Reward()


class EveryRound(Rematching):
    """Match anew in every round, as if for the first time (published)."""

    name: Literal["every_round"] = "every_round"
    holds: ClassVar[bool] = False


class FirstMeeting(Rematching):
    """Match once, at the first merge; from then on neurons keep their places."""

    name: Literal["first_meeting"] = "first_meeting"

    @override
    def label(self) -> str:
        return "matched once"

    @override
    def due(self, round: int) -> bool:
        return round == 1


class Sticky(Rematching):
    """Match in every round, with a bonus for each neuron that keeps its place."""

    name: Literal["sticky"] = "sticky"
    bonus: Annotated[float, Field(gt=0)] = 0.3
    """Added to the diagonal of the scores (correlations, for activation matching)."""

    @override
    def reward(self, round: int) -> Reward:
        return Reward(each=self.bonus) if round > 1 else Reward()


class Margin(Rematching):
    """Match a group anew only if its objective gains more than a margin."""

    name: Literal["margin"] = "margin"
    gain: Annotated[float, Field(gt=0)] = 0.05
    """Least gain over staying in place, for each neuron (in correlation, for activation matching)."""

    @override
    def reward(self, round: int) -> Reward:
        return Reward(whole=self.gain) if round > 1 else Reward()


class LowersDisagreement(Rematching):
    """Match in every round, but move only if that lowers the disagreement of all agents.

    That is (1/N) sum_i |x_i - xbar|^2 of all that is trained, and all move or none does; at the first merge
    all move. So a bound gains the price of the frames that change, and no more
    (theory/bounds/changing_merges.py). Where links do not join all agents, none moves.
    """

    name: Literal["lowers_disagreement"] = "lowers_disagreement"
    if_closer: ClassVar[bool] = True


AnyRematching = Annotated[EveryRound | FirstMeeting | Sticky | Margin | LowersDisagreement, OneOf()]
