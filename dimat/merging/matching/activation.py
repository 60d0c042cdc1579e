"""Activation matching (Li et al. 2015; Ainsworth, Hayase and Srinivasa 2023, section 3.1).

Each neuron of one network is matched with the neuron of the other whose activations correlate with its
own, so that the sum of correlations is largest: one linear assignment for each group.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from dimat.merging.matching.matcher import Matcher, Similarity, Soft
from dimat.merging.matching.statistics import Pair, correlations
from dimat.models.symmetry import Group, Permutations


class Activation(Matcher):
    """Match neurons by the correlation of their activations over images and positions."""

    name: Literal["activation"] = "activation"
    looks_at_images: ClassVar[bool] = True

    @override
    def compare(
        self,
        models: Mapping[int, nn.Module],
        groups: list[Group],
        pairs: list[Pair],
        batches: Iterable[Tensor],
        batch_statistics: bool = False,
    ) -> dict[Pair, Similarity]:
        measured = correlations(dict(models), groups, pairs, batches, batch_statistics=batch_statistics)
        return {pair: Correlated(by_group) for pair, by_group in measured.items()}

    @override
    def unpacked(self, packed: Mapping[str, Any], groups: list[Group]) -> Similarity:
        return Correlated(packed)


class Correlated(Similarity):
    """Correlations in [-1, 1], on the CPU; no group depends on another.

    Groups that show no features have none: they stay in place, but for what others move along.
    """

    coupled: ClassVar[bool] = False

    def __init__(self, correlations: Mapping[str, Tensor]) -> None:
        self.correlations = correlations

    @override
    def scores(self, group: Group, permutations: Permutations) -> Tensor:
        if not group.node:
            return torch.zeros(group.size, group.size, dtype=torch.float64)
        return self.correlations[group.name]

    @override
    def total(self, ones: Soft, others: Soft) -> Tensor:
        return sum(
            (self.of_group(name, ones, others) for name in self.correlations),
            torch.zeros((), dtype=torch.float64),
        )

    def of_group(self, name: str, ones: Soft, others: Soft) -> Tensor:
        """The part of one group in the total."""
        correlations = self.correlations[name]
        return (ones[name] @ correlations * others[name]).sum()

    @override
    def packed(self) -> dict[str, Any]:
        return dict(self.correlations)

    @override
    def scale(self, group: Group) -> float:
        return 1.0 if group.node else 0.0
