"""How alike the neurons of networks are that look at the same images."""

import copy
from collections.abc import Mapping

from torch import nn

from dimat.merging.calibration.recalibration import recalibrate
from dimat.merging.matching.matcher import Similarity
from dimat.merging.matching.options import Matching
from dimat.merging.matching.statistics import Pair
from dimat.models.passes import Pass
from dimat.models.symmetry import Group


def compare(
    models: Mapping[int, nn.Module],
    groups: list[Group],
    pairs: list[Pair],
    images: Pass,
    matching: Matching,
    *,
    recalibrates: bool,
) -> dict[Pair, Similarity]:
    """The similarity of the networks of each pair, seen on the same ``images``; networks stay unchanged.

    Activations are compared after normalization was recalibrated on these images, if ``recalibrates``.
    """
    recalibrates = recalibrates and matching.matcher.looks_at_images
    if recalibrates:
        models = copy.deepcopy(dict(models))
        if matching.passes == 3:
            for model in models.values():
                recalibrate(model, images())
    return matching.matcher.compare(models, groups, pairs, images(), recalibrates and matching.passes == 2)
