"""No matching: neurons stay where they are."""

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from dimat.merging.statistics import Pair
from dimat.models.symmetry import Group, Permutations
from dimat.spec import Spec


class Identity(Spec):
    """The identity permutation for every group: plain averaging."""

    name: Literal["identity"]
    looks_at_images: ClassVar[bool] = False

    def match(
        self, models: dict[int, nn.Module], groups: list[Group], pairs: list[Pair], batches: Iterable[Tensor]
    ) -> dict[Pair, Permutations]:
        """See `Activation.match`; no image is looked at."""
        del models, batches
        return {pair: {group.name: torch.arange(group.size) for group in groups} for pair in pairs}
