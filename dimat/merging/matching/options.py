"""How neurons are matched: by what, in which frame, and when."""

from typing import Annotated, Literal, Self

from pydantic import model_validator

from dimat.merging.matching.activation import Activation
from dimat.merging.matching.activation_weight import ActivationWeight
from dimat.merging.matching.rematching import AnyRematching, EveryRound, FirstMeeting
from dimat.merging.matching.weight import Weight
from dimat.spec import OneOf, Spec

Alignment = Literal["per_edge", "consistent", "universe"]
AnyMatcher = Annotated[Activation | Weight | ActivationWeight, OneOf()]


class Matching(Spec):
    """How the neurons of neighbours are matched before their networks are averaged."""

    matcher: AnyMatcher = Activation()
    """By what neurons of two networks are matched."""
    alignment: Alignment = "per_edge"
    """`per_edge`: each agent re-orders every neighbour like itself (published); `consistent`: all agents
    re-order themselves to a common frame, so that products of permutations along cycles are the identity;
    `universe`: the same, with the frame found for all agents and layers at once, by Frank-Wolfe (C2M3,
    Crisostomi et al. 2024; `matcher: weight` there), and not one agent and layer after the other."""
    rematch: AnyRematching = EveryRound()
    """When neurons are matched: in every round (published), once, or again only if it is worth it."""
    passes: Literal[2, 3] = 3
    """Passes of each network over the images in one merge: 3 computes the statistics of normalization before
    the activations are compared, 2 in the same pass."""

    @model_validator(mode="after")
    def _frames_are_common(self) -> Self:
        if self.rematch.if_closer and self.alignment != "consistent":
            raise ValueError(
                f"alignment: {self.alignment} does not go with rematch: {self.rematch.name}, which holds a "
                "common frame unless another is closer; expected consistent"
            )
        return self

    @model_validator(mode="after")
    def _soft_maps_hold_no_place(self) -> Self:
        if self.matcher.temperature is None:
            return self
        if self.alignment != "per_edge" or not isinstance(self.rematch, EveryRound):
            raise ValueError(
                f"matcher.temperature: {self.matcher.temperature:g} mixes neighbours' channels, and does not "
                f"go with alignment: {self.alignment} and rematch: {self.rematch.name}, as agents re-order "
                "themselves or hold places; expected per_edge and every_round"
            )
        return self

    @property
    def common_frame(self) -> bool:
        """Whether agents put themselves in a common frame, at the first merge or at all of them."""
        return self.alignment != "per_edge" or self.rematch.holds

    @model_validator(mode="after")
    def _no_reward(self) -> Self:
        if self.alignment == "universe" and not isinstance(self.rematch, EveryRound | FirstMeeting):
            raise ValueError(
                f"alignment: 'universe' rewards nobody for standing still, and so does not go with rematch: "
                f"{self.rematch.name}; expected every_round or first_meeting, or alignment: consistent"
            )
        return self
