"""Activation and weight matching with both costs combined.

Activation matching sees what neurons do but not what they are connected to; weight matching the reverse.
Both parts of the objective are brought to one scale, so that neither drowns the other: each group counts
with its mean correlation, each parameter with the cosine of the two networks' tensors.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from dimat.merging.matching.activation import Correlated
from dimat.merging.matching.matcher import Matcher, Similarity, Soft
from dimat.merging.matching.statistics import Pair, correlations
from dimat.merging.matching.weight import InnerProducts, matched_parameters
from dimat.models.symmetry import Group, Permutations


class ActivationWeight(Matcher):
    """Match neurons by the correlation of their activations and the similarity of their weights."""

    name: Literal["activation-weight"] = "activation-weight"
    weights: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the weights in the objective; the rest are the activations."""
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
        unit = {agent: _normalized(matched_parameters(model, groups)) for agent, model in models.items()}
        return {
            (i, j): Combined(
                Correlated(measured[i, j]), InnerProducts(unit[i], unit[j], groups), self.weights
            )
            for i, j in pairs
        }

    @override
    def unpacked(self, packed: Mapping[str, Any], groups: list[Group]) -> Similarity:
        weights = InnerProducts(packed["ones"], packed["others"], groups)
        return Combined(Correlated(packed["correlations"]), weights, self.weights)


def _normalized(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor with norm 1 (or 0), so that inner products are cosines."""
    return {name: tensor / tensor.norm().clamp_min(1e-300) for name, tensor in parameters.items()}


class Combined(Similarity):
    """A weighted sum of mean correlations and cosines of parameters."""

    def __init__(self, activations: Correlated, weights: InnerProducts, share: float) -> None:
        self.activations = activations
        self.weights = weights
        self.share = share

    @override
    def scores(self, group: Group, permutations: Permutations) -> Tensor:
        weights = self.weights.scores(group, permutations)
        correlations = self.activations.scores(group, permutations).to(weights.device, non_blocking=True)
        return (1 - self.share) * (correlations / group.size) + self.share * weights

    @override
    def total(self, ones: Soft, others: Soft) -> Tensor:
        means = [
            self.activations.of_group(name, ones, others) / len(ones[name])
            for name in self.activations.correlations
        ]
        weights = self.weights.total(ones, others)
        return (1 - self.share) * torch.stack(means).sum().to(weights.device) + self.share * weights

    @override
    def packed(self) -> dict[str, Any]:
        return {"correlations": self.activations.packed(), **self.weights.packed()}

    @override
    def scale(self, group: Group) -> float:
        return (1 - self.share) / group.size + self.share * self.weights.scale(group)
