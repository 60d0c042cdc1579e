"""How a merge is done: the matcher, the repair of normalization, and the images both may use."""

from typing import Literal

from pydantic import Field

from dimat.merging.activation import Activation
from dimat.merging.identity import Identity
from dimat.merging.weight import Weight
from dimat.spec import Spec, choice

AnyMatcher = choice(Activation, Weight, Identity)


class Merge(Spec):
    """Options of one merge."""

    matcher: AnyMatcher = Activation(name="activation")
    """How neurons of two networks are matched; `identity` leaves them in place."""
    repair: Literal["none", "recalibrate"] = "recalibrate"
    """Normalization: `recalibrate` computes the running statistics anew, before matching and after
    averaging; `none` averages the parents' statistics like every other tensor."""
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

    def label(self) -> str:
        """Short description for legends and tables."""
        words = []
        if self.matcher.name not in ("activation", "identity"):
            words.append(f"{self.matcher.name} matching")
        if self.repair == "none":
            words.append("no repair")
        if self.uses_images:
            images = {"own": "own", "neighbours": "neighbours'", "pooled": "pooled"}[self.images]
            words.append(f"{images} images")
        return ", ".join(words)
