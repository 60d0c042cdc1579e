"""What is done to a network after it was averaged."""

from collections.abc import Mapping, Sequence
from typing import Literal

from torch import Tensor, nn

from dimat.merging.averaging.merged import with_state
from dimat.merging.calibration.least_squares import fit_layers
from dimat.merging.calibration.recalibration import recalibrate
from dimat.merging.calibration.renormalization import renormalize
from dimat.models.passes import Pass


def repair(
    merged: nn.Module,
    states: Sequence[Mapping[str, Tensor]],
    weights: Sequence[float],
    how: Literal["recalibrate", "repair", "rescale", "least_squares"],
    images: Pass,
) -> None:
    """Repair the average of aligned ``states`` with ``weights``, in place (see `Calibration`)."""
    if how == "recalibrate":
        recalibrate(merged, images())
        return
    parents = [with_state(merged, state) for state in states]
    if how == "least_squares":
        fit_layers(merged, parents, weights, images)
    else:
        for parent in parents:
            recalibrate(parent, images())
        renormalize(merged, parents, weights, images, shift=how == "repair")
