"""How a merge is done: the matcher, when and in which frame neurons are matched, coefficients, repair."""

from typing import Annotated, Any, Literal

from pydantic import Field

from dimat.merging.averaging.coefficients import AnyCoefficients, Mixing
from dimat.merging.matching.activation import Activation
from dimat.merging.matching.activation_weight import ActivationWeight
from dimat.merging.matching.identity import Identity
from dimat.merging.matching.rematching import AnyRematching, EveryRound
from dimat.merging.matching.weight import Weight
from dimat.spec import OneOf, Spec

AnyMatcher = Annotated[Activation | Weight | ActivationWeight | Identity, OneOf()]


class Merge(Spec):
    """Options of one merge."""

    matcher: AnyMatcher = Activation()
    """How neurons of two networks are matched; `identity` leaves them in place."""
    alignment: Literal["per_edge", "consistent"] = "per_edge"
    """`per_edge`: each agent re-orders every neighbour like itself (published); `consistent`: all agents
    re-order themselves to a common frame, so that products of permutations along cycles are the identity."""
    rematch: AnyRematching = EveryRound()
    """When neurons are matched: in every round (published), once, or again only if it is worth it."""
    coefficients: AnyCoefficients = Mixing()
    """With which weights networks are averaged."""
    shrink: Annotated[float, Field(gt=0, le=1)] = 1.0
    """After the first merge, multiply all weights in front of normalizations by this. The networks' functions
    stay the same, but they learn faster, as averages of networks that do not match do by themselves."""
    repair: Literal["none", "recalibrate", "repair", "rescale"] = "recalibrate"
    """What is repaired after averaging: `recalibrate` computes the running statistics of batch normalization
    anew, before matching and after averaging; `repair` sets mean and deviation of every channel to those of
    the parents, interpolated, with or without normalization layers; `rescale` only the deviation; `none`
    averages the parents' statistics like every other tensor."""
    passes: Literal[2, 3] = 3
    """Passes of each network over the images in one merge: 3 computes the statistics of normalization before
    the activations are compared, 2 in the same pass."""
    images: Literal["own", "neighbours", "pooled"] = "pooled"
    """The training images an agent may use for matching and repair: its `own`; those of itself and its
    `neighbours`; or `pooled` over all agents (published; breaks the premise that data stay local)."""
    limit: int | None = Field(None, ge=2)
    """Use at most so many of these images, drawn anew every round; null uses all."""
    augmented: bool = False
    """Augment these images as in training (published)."""

    @property
    def uses_images(self) -> bool:
        """Whether matching or repair look at images."""
        return self.matcher.looks_at_images or self.repair != "none"

    def matches(self, round: int) -> bool:
        """Whether neurons are matched in ``round`` (from 1)."""
        return self.matcher.name != "identity" and self.rematch.due(round)

    def without_matching(self) -> "Merge":
        """The same merge with every neuron left in its place; nothing that then has no effect is kept."""
        kept: dict[str, Any] = {
            "coefficients": self.coefficients,
            "shrink": self.shrink,
            "repair": self.repair,
        }
        if self.repair != "none":
            kept |= {"images": self.images, "limit": self.limit, "augmented": self.augmented}
        return Merge(matcher=Identity(), **kept)

    def label(self) -> str:
        """How networks are averaged and repaired, for legends and tables: plain averaging has it too."""
        words = []
        if self.coefficients.name != "mixing":
            words.append(self.coefficients.label())
        if self.shrink != 1:
            words.append(f"shrunk to {self.shrink:g}")
        if self.repair != "recalibrate":
            words.append("no repair" if self.repair == "none" else self.repair)
        if self.repair != "none":
            words.append(self._images_label())
        return ", ".join(words)

    def matching_label(self) -> str:
        """How neurons are matched, for legends and tables; empty for the published way."""
        words = []
        if self.matcher.name not in ("activation", "identity"):
            words.append(f"{self.matcher.label()} matching")
        if self.alignment != "per_edge":
            words.append("common frame")
        if self.rematch.name != "every_round":
            words.append(self.rematch.label())
        if self.passes != 3:
            words.append(f"{self.passes} passes")
        if self.repair == "none" and self.matcher.looks_at_images:
            words.append(self._images_label())
        return ", ".join(words)

    def _images_label(self) -> str:
        return {"own": "own", "neighbours": "neighbours'", "pooled": "pooled"}[self.images] + " images"
