"""How much of what is conceivable a matching reached."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from dimat.merging.matching.matcher import Similarity
from dimat.merging.matching.statistics import Pair
from dimat.models.symmetry import Group, Permutations

Key = TypeVar("Key")


def numbers_of(there: Mapping[Key, Tensor]) -> dict[Key, float]:
    """Numbers that may lie on a device, as Python's: the CPU waits for all of them once."""
    if not there:
        return {}
    return dict(zip(there, torch.stack([each.double() for each in there.values()]).tolist(), strict=True))


def objectives(
    groups: Sequence[Group],
    permutations: Mapping[Pair, Permutations],
    similarities: Mapping[Pair, Similarity],
) -> dict[tuple[str, Pair], tuple[float, float]]:
    """Mean score of each group over its scale, as matched and in place, for each pair."""
    sums: dict[tuple[str, Pair, bool], Tensor] = {}
    for group in groups:
        for pair, similarity in similarities.items():
            scores = similarity.scores(group, permutations[pair])
            rows = torch.arange(group.size, device=scores.device)
            order = permutations[pair][group.name].to(scores.device, non_blocking=True)
            sums[group.name, pair, True] = scores[rows, order].sum()
            sums[group.name, pair, False] = scores.trace()
    found = numbers_of(sums)
    return {
        (group.name, pair): (
            found[group.name, pair, True] / scale,
            found[group.name, pair, False] / scale,
        )
        for group in groups
        for pair, similarity in similarities.items()
        for scale in [similarity.scale(group) * group.size or 1.0]
    }
