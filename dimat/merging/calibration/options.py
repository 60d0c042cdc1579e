"""On whose images agents calibrate, and what is repaired after averaging."""

from typing import Annotated, Literal

from pydantic import Field

from dimat.arithmetic import Precision
from dimat.spec import Spec

Repair = Literal["none", "recalibrate", "repair", "rescale", "least_squares"]


class Calibration(Spec):
    """What is repaired after networks were averaged, and which images agents may look at for that.

    Matching looks at the same images.
    """

    repair: Repair = "recalibrate"
    """What is repaired after averaging: `recalibrate` computes the running statistics of batch normalization
    anew, before matching and after averaging; `repair` sets mean and deviation of every channel to those of
    the parents, interpolated, with or without normalization layers; `rescale` only the deviation;
    `least_squares` gives each linear layer and convolution the weights that make the parents' mean
    activations of it out of those before it, and recalibrates (PLeaS, Nasery et al. 2024); `none` averages
    the parents' statistics like every other tensor."""
    images: Literal["own", "neighbours", "pooled"] = "pooled"
    """The training images an agent may use for matching and repair: its `own`; those of itself and its
    `neighbours`; or `pooled` over all agents (published; breaks the premise that data stay local)."""
    limit: Annotated[int | None, Field(ge=2)] = None
    """Use at most so many of these images, drawn anew every round; null uses all."""
    augmented: bool = False
    """Augment these images as in training (published)."""
    batch_size: Annotated[int | None, Field(ge=2)] = None
    """Images in a batch of these passes; null takes that of training."""
    precision: Precision = "float32"
    """Arithmetic of all these passes (`bfloat16`: automatic mixed precision). Statistics are added up in
    float32, and blocks of them in float64, all the same."""

    def without_images(self) -> "Calibration":
        """The same for those who then look at no image, if nothing is repaired."""
        return self if self.repair != "none" else Calibration(repair="none")
