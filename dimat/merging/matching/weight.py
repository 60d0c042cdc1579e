"""Weight matching (Ainsworth, Hayase and Srinivasa 2023, "Git Re-Basin", section 3.2 and algorithm 1).

Neurons are matched by the similarity of their weights, without images: the permutations P that maximize the
inner product of theta_i with P theta_j over all parameters. Given all other groups, the best permutation of
one group is a linear assignment; groups are visited in turn until none of them gains.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from dimat.merging.matching.matcher import Matcher, Similarity, Soft
from dimat.merging.matching.statistics import Pair
from dimat.models.symmetry import Group, Member, Permutations, mix_axis, permute_axis


class Weight(Matcher):
    """Match neurons by weights, biases and normalization parameters; never by running statistics."""

    name: Literal["weight"] = "weight"
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
        """No image is looked at."""
        parameters = {agent: matched_parameters(model, groups) for agent, model in models.items()}
        return {(i, j): InnerProducts(parameters[i], parameters[j], groups) for i, j in pairs}

    @override
    def unpacked(self, packed: Mapping[str, Any], groups: list[Group]) -> Similarity:
        return InnerProducts(packed["ones"], packed["others"], groups)


def matched_parameters(model: nn.Module, groups: list[Group]) -> dict[str, Tensor]:
    """The parameters that follow permutations, in double precision; no buffers."""
    members = {member.name for group in groups for member in group.members}
    return {name: tensor.detach().double() for name, tensor in model.named_parameters() if name in members}


class InnerProducts(Similarity):
    """Inner products of everything that belongs to a channel in two networks with the given parameters."""

    def __init__(self, ones: Mapping[str, Tensor], others: Mapping[str, Tensor], groups: list[Group]) -> None:
        self.ones = ones
        self.others = others
        self.groups = groups
        self.axes: dict[str, list[tuple[str, Member]]] = defaultdict(list)
        for group in groups:
            for member in group.members:
                self.axes[member.name].append((group.name, member))

    @override
    def scores(self, group: Group, permutations: Permutations) -> Tensor:
        device = next(iter(self.ones.values())).device
        scores = torch.zeros(group.size, group.size, dtype=torch.float64, device=device)
        for member in self._parameters(group):
            other = self.others[member.name]
            for name, moved in self.axes[member.name]:
                if moved != member:
                    other = permute_axis(other, moved, permutations[name])
            one = _channels(self.ones[member.name], member, group)
            scores += one @ _channels(other, member, group).T
        return scores

    @override
    def total(self, ones: Soft, others: Soft) -> Tensor:
        parts = [
            (
                self._ordered(name, self.ones[name], ones) * self._ordered(name, self.others[name], others)
            ).sum()
            for name in self.ones
        ]
        return torch.stack(parts).sum()

    def _ordered(self, name: str, tensor: Tensor, soft: Soft) -> Tensor:
        """One tensor with its channels in soft orders, along all axes that have some."""
        for group, member in self.axes[name]:
            tensor = mix_axis(tensor, member, soft[group])
        return tensor

    @override
    def packed(self) -> dict[str, Any]:
        return {"ones": self.ones, "others": self.others}

    @override
    def scale(self, group: Group) -> float:
        """The product of the norms, by the inequality of Cauchy and Schwarz."""
        product = 1.0
        for squares in self._squares:
            product *= sum(squares[group.name]) ** 0.5
        return product / group.size

    @cached_property
    def _squares(self) -> list[dict[str, list[float]]]:
        """Squared norms of what belongs to each group in either network, parameter by parameter.

        All are computed before any is read, as the CPU waits for each reading of a device.
        """
        there = [
            [
                _channels(tensors[member.name], member, group).square().sum()
                for member in self._parameters(group)
            ]
            for tensors in (self.ones, self.others)
            for group in self.groups
        ]
        here = iter(torch.stack([each for of_group in there for each in of_group]).tolist())
        read = iter([[next(here) for _ in of_group] for of_group in there])
        return [{group.name: next(read) for group in self.groups} for _ in range(2)]

    def _parameters(self, group: Group) -> list[Member]:
        return [member for member in group.members if member.name in self.ones]


def _channels(tensor: Tensor, member: Member, group: Group) -> Tensor:
    """What belongs to each channel, as rows (C, entries)."""
    along = member.rows_of(tensor).movedim(member.axis, 0)
    if member.places:
        along = along[member.index(group.size, tensor.device).flatten()]
    else:
        along = along[member.start : member.start + group.size * member.block]
    return along.reshape(group.size, -1)
