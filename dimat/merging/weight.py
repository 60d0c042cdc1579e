"""Weight matching (Ainsworth, Hayase and Srinivasa 2023, "Git Re-Basin", section 3.2 and algorithm 1).

Neurons are matched by the similarity of their weights, without images: the permutations P that maximize the
inner product of theta_i with P theta_j over all parameters. Given all other groups, the best permutation of
one group is a linear assignment; groups are visited in turn until none of them gains.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dimat.merging.assignment import best_permutation
from dimat.merging.statistics import Pair
from dimat.models.symmetry import Group, Member, Permutations, permute_axis
from dimat.spec import Spec


class Weight(Spec):
    """Match neurons by weights, biases and normalization parameters; never by running statistics."""

    name: Literal["weight"]
    sweeps: int = Field(100, ge=1)
    """Visit every group at most so many times."""
    looks_at_images: ClassVar[bool] = False

    def match(
        self, models: dict[int, nn.Module], groups: list[Group], pairs: list[Pair], batches: Iterable[Tensor]
    ) -> dict[Pair, Permutations]:
        """See `Activation.match`; no image is looked at."""
        del batches
        parameters = {
            agent: {name: tensor.detach().double() for name, tensor in model.named_parameters()}
            for agent, model in models.items()
        }
        return {(i, j): match_weights(parameters[i], parameters[j], groups, self.sweeps) for i, j in pairs}


def match_weights(
    ones: Mapping[str, Tensor], others: Mapping[str, Tensor], groups: list[Group], sweeps: int
) -> dict[str, Tensor]:
    """The permutations that re-order the network with parameters ``others`` like the one with ``ones``."""
    permutations = {group.name: torch.arange(group.size) for group in groups}
    for _ in range(sweeps):
        gained = False
        for group in groups:
            scores = similarities(ones, others, group, groups, permutations)
            rows = torch.arange(group.size)
            found = best_permutation(scores)
            gain = scores[rows, found].sum() - scores[rows, permutations[group.name]].sum()
            if gain > 1e-9 * scores.abs().max():  # more than round-off
                permutations[group.name] = found
                gained = True
        if not gained:
            break
    return permutations


def similarities(
    ones: Mapping[str, Tensor],
    others: Mapping[str, Tensor],
    group: Group,
    groups: list[Group],
    permutations: Permutations,
) -> Tensor:
    """Inner products (C, C) of everything that belongs to each channel of ``group`` in the two networks.

    All other groups of the second network are permuted as they stand.
    """
    scores = torch.zeros(group.size, group.size, dtype=torch.float64)
    for member in group.members:
        if member.name in ones:
            other = others[member.name]
            for second in groups:
                for moved in second.members:
                    if moved.name == member.name and moved != member:
                        other = permute_axis(other, moved, permutations[second.name])
            scores += (_channels(ones[member.name], member, group) @ _channels(other, member, group).T).cpu()
    return scores


def _channels(tensor: Tensor, member: Member, group: Group) -> Tensor:
    """What belongs to each channel, as rows (C, entries)."""
    along = tensor.movedim(member.axis, 0)[member.start : member.start + group.size * member.block]
    return along.reshape(group.size, -1)
