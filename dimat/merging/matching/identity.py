"""No matching: neurons stay where they are."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from dimat.merging.matching.activation import Correlated
from dimat.merging.matching.matcher import Matcher, Similarity
from dimat.merging.matching.statistics import Pair
from dimat.models.symmetry import Group


class Identity(Matcher):
    """The identity permutation for every group: plain averaging."""

    name: Literal["identity"] = "identity"
    looks_at_images: ClassVar[bool] = False

    @override
    def compare(
        self,
        models: Mapping[int, nn.Module],
        groups: list[Group],
        pairs: list[Pair],
        batches: Iterable[Tensor],
        batch_statistics: bool = False,
    ) -> dict[Pair, Similarity]:
        """Each channel goes with the one in its own place, unseen."""
        in_place = {group.name: torch.eye(group.size, dtype=torch.float64) for group in groups}
        return dict.fromkeys(pairs, Correlated(in_place))
