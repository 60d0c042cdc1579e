"""Permutation symmetries of a network, found by tracing it with torch.fx.

The hidden channels of a network can be re-ordered without changing its function, if every tensor that
produces or consumes them is re-ordered alike. Channels that must move together are a `Group`; `tracing`
finds them. Input channels and outputs (class logits) are never permuted.
"""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, fx, nn

from dimat.models.modes import evaluated
from dimat.models.tracing import (
    Member,
    Space,
    Tracer,
    UnsupportedOperation,
    remember,
    structure,
    traced,
)

__all__ = [
    "Group",
    "Member",
    "Observed",
    "Permutations",
    "UnsupportedOperation",
    "permutation_groups",
    "permute",
    "permute_axis",
]


@dataclass(frozen=True)
class Group:
    """Channels that must be permuted together.

    ``node`` names the traced value at which the group's features are compared, from its channel ``first``
    on: the last one in the network before any pooling, so the end of a residual stream, after its
    nonlinearity.
    """

    name: str
    size: int
    members: tuple[Member, ...]
    node: str
    first: int = 0

    def __str__(self) -> str:
        """The group and its members, one a line."""
        lines = [f"{self.name}: {self.size} channels"]
        for member in self.members:
            block = f", {member.block} entries each" if member.block > 1 else ""
            start = f", from entry {member.start}" if member.start else ""
            lines.append(f"  {member.name}, axis {member.axis}{block}{start}")
        return "\n".join(lines)


Permutations = Mapping[str, Tensor]
"""Group name to an index tensor (size,): new channel b is old channel ``permutation[b]``."""


def permutation_groups(model: nn.Module, image_shape: tuple[int, int, int]) -> list[Group]:
    """The groups of hidden channels that can be permuted without changing the function.

    ``image_shape`` is (channels, height, width). `UnsupportedOperation` names a layer that is not understood.
    """
    with evaluated(model), torch.no_grad():  # an example passes through: running statistics must not move
        alike = structure(model)
        if alike is not None and (alike, image_shape) in _groups:
            return list(_groups[alike, image_shape])
        like = next(model.parameters())
        spaces = Tracer(model, torch.zeros(1, *image_shape, device=like.device, dtype=like.dtype)).trace()
    groups = [group for space in spaces if not space.fixed for group in groups_of(space)]
    if alike is not None:
        remember(_groups, (alike, image_shape), tuple(groups))
    return groups


_groups: dict[Hashable, tuple[Group, ...]] = {}


def groups_of(space: Space) -> list[Group]:
    """The groups of a channel space: one, or one for each group of its group normalization."""
    _, node = max(space.nodes)
    bounds = [0, *sorted(space.cuts), space.size]
    groups = []
    for first, end in pairwise(bounds):
        members = [
            Member(member.name, member.axis, member.block, member.start + first * member.block)
            for member in space.members
        ]
        name = f"{node}[{first}:{end}]" if space.cuts else node
        groups.append(Group(name, end - first, tuple(dict.fromkeys(members)), node, first))
    return groups


def permute(
    state: Mapping[str, Tensor], groups: list[Group], permutations: Permutations
) -> dict[str, Tensor]:
    """The state of a network, or a part of it, whose hidden channels are re-ordered.

    The function of the whole is unchanged.
    Group g's new channel b is the old channel ``permutations[g.name][b]``.
    """
    result = dict(state)
    for group in groups:
        permutation = permutations[group.name]
        if not torch.equal(permutation, torch.arange(group.size)):
            there = {tensor.device for tensor in result.values()}
            sent = {device: permutation.to(device, non_blocking=True) for device in there}
            for member in group.members:
                if member.name in result:
                    permutation = sent[result[member.name].device]
                    result[member.name] = permute_axis(result[member.name], member, permutation)
    return result


def permute_axis(tensor: Tensor, member: Member, permutation: Tensor) -> Tensor:
    """One tensor, re-ordered along the axis of ``member``; the permutation may lie on the CPU."""
    permutation = permutation.to(tensor.device, non_blocking=True)
    if len(permutation) == tensor.shape[member.axis]:
        return tensor.index_select(member.axis, permutation)
    within = torch.arange(member.block, device=tensor.device)
    moved = member.start + (permutation[:, None] * member.block + within).flatten()
    index = torch.arange(tensor.shape[member.axis], device=tensor.device)
    index[member.start : member.start + len(moved)] = moved
    return tensor.index_select(member.axis, index)


class Observed:
    """A view of ``model`` (the same layers) that stops at the features of every group on its way."""

    def __init__(self, model: nn.Module, groups: list[Group]) -> None:
        self._graph = traced(model)
        self._interpreter = fx.Interpreter(model, graph=self._graph)
        self._groups: dict[str, list[Group]] = {}
        for group in groups:
            self._groups.setdefault(group.node, []).append(group)

    def features(self, images: Tensor) -> Iterator[tuple[Group, Tensor]]:
        """Each group in the order of the network, with its features (batch, C, ...) of ``images``.

        The network runs as far as the group asked for, or to its end, and keeps only values it still needs:
        features are to be used before the next are asked for.
        """
        run = self._interpreter
        run.env, run.args_iter = {}, iter((images,))
        for node in self._graph.nodes:
            run.env[node] = run.run_node(node)
            for group in self._groups.get(node.name, ()):
                yield group, run.env[node][:, group.first : group.first + group.size]
            for used in run.user_to_last_uses.get(node, ()):
                del run.env[used]
