"""Groups of channels, the parts of tensors that belong to them, and their permutations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Member:
    """One axis of one parameter or buffer that follows a group's permutation.

    ``block`` consecutive entries belong to each channel (more than 1 behind a flattened feature map); the
    first channel's begin at ``start`` (more than 0 behind a concatenation). Where channels stand otherwise,
    as behind a shuffle, ``places`` has the entries of each channel in turn, ``block`` for each. Where
    ``rows`` are given, only these (from, to) of axis 0 follow: those of one group of a grouped convolution.
    """

    name: str
    axis: int
    block: int = 1
    start: int = 0
    places: tuple[int, ...] = ()
    rows: tuple[int, int] | None = None

    def index(self, size: int, device: torch.device | None = None) -> Tensor:
        """The entries (size, block) of each of ``size`` channels along the axis."""
        if self.places:
            return torch.tensor(self.places, device=device).reshape(size, self.block)
        return self.start + torch.arange(size * self.block, device=device).reshape(size, self.block)

    def rows_of(self, tensor: Tensor) -> Tensor:
        """The part of a tensor that follows: a view."""
        return tensor if self.rows is None else tensor[self.rows[0] : self.rows[1]]


@dataclass(frozen=True)
class Group:
    """Channels that must be permuted together.

    ``node`` names the traced value at which the group's features are compared, from its channel ``first``
    on: the last one in the network before any pooling, so the end of a residual stream, after its
    nonlinearity. Features lie along ``axis`` of it; where they do not stand side by side, ``places`` has
    their entries, equally many for each channel. A ``step`` of 0 or more is that of an operation inside of
    the node, whose result is meant instead of the node's.

    With ``blocks``, permutations exchange so many blocks of equal size as wholes (attention heads), in the
    same way in all groups of one ``family``, and channels inside of each block. There is no ``node`` if a
    group shows no features of its own.
    """

    name: str
    size: int
    members: tuple[Member, ...]
    node: str
    first: int = 0
    axis: int = 1
    places: tuple[int, ...] = ()
    step: int = -1
    family: str = ""
    blocks: int = 0

    def __str__(self) -> str:
        """The group and its members, one a line."""
        blocks = f" in {self.blocks} blocks of {self.family}" if self.blocks else ""
        lines = [f"{self.name}: {self.size} channels{blocks}"]
        for member in self.members:
            block = f", {member.block} entries each" if member.block > 1 else ""
            start = f", from entry {member.start}" if member.start else ""
            places = ", not side by side" if member.places else ""
            rows = f", in rows {member.rows[0]} to {member.rows[1]}" if member.rows else ""
            lines.append(f"  {member.name}, axis {member.axis}{block}{start}{places}{rows}")
        return "\n".join(lines)

    def features(self, value: Tensor) -> Tensor:
        """The group's features (batch, C, ...) in what the node puts out."""
        if self.places:
            index = torch.tensor(self.places, device=value.device)
            found = value.movedim(self.axis, 0)[index].unflatten(0, (self.size, -1))
            return found.movedim((0, 1), (-2, -1)).flatten(0, -3).contiguous() if found.ndim > 2 else found
        found = value.narrow(self.axis, self.first, self.size)
        return found if self.axis == 1 else found.movedim(self.axis, 1)


def units_of(groups: Sequence[Group]) -> list[list[Group]]:
    """Groups that are exchanged independently of each other: single ones, and families."""
    units: dict[str, list[Group]] = {}
    for group in groups:
        units.setdefault(group.family or f"/{group.name}", []).append(group)
    return list(units.values())


Permutations = Mapping[str, Tensor]
"""Group name to an index tensor (size,): new channel b is old channel ``permutation[b]``."""


def permute(
    state: Mapping[str, Tensor], groups: Sequence[Group], permutations: Permutations
) -> dict[str, Tensor]:
    """The state of a network, or a part of it, whose hidden channels are re-ordered.

    The function of the whole is unchanged.
    Group g's new channel b is the old channel ``permutations[g.name][b]``.
    """
    result = dict(state)
    for group in groups:
        permutation = permutations[group.name]
        if not torch.equal(permutation, torch.arange(group.size)):
            there = {tensor.device for tensor in result.values() if isinstance(tensor, Tensor)}
            sent = {device: permutation.to(device, non_blocking=True) for device in there}
            for member in group.members:
                if member.name in result:
                    permutation = sent[result[member.name].device]
                    result[member.name] = permute_axis(result[member.name], member, permutation)
    return result


def permute_axis(tensor: Tensor, member: Member, permutation: Tensor) -> Tensor:
    """One tensor, re-ordered along the axis of ``member``; the permutation may lie on the CPU."""
    permutation = permutation.to(tensor.device, non_blocking=True)
    if member.rows is not None:
        moved = tensor.clone()
        part = member.rows_of(moved)
        part.copy_(permute_axis(part.clone(), _all_rows(member), permutation))
        return moved
    if len(permutation) == tensor.shape[member.axis] and not member.places:
        return tensor.index_select(member.axis, permutation)
    places = member.index(len(permutation), tensor.device)
    index = torch.arange(tensor.shape[member.axis], device=tensor.device)
    index[places.flatten()] = places[permutation].flatten()
    return tensor.index_select(member.axis, index)


def mix_axis(tensor: Tensor, member: Member, shares: Tensor) -> Tensor:
    """One tensor whose new channel b along the axis of ``member`` is the sum of ``shares[b, c]`` of old c.

    For a permutation matrix with 1 at [b, permutation[b]] this is `permute_axis`. Differentiable.
    """
    if member.rows is not None:
        start, end = member.rows
        part = mix_axis(tensor[start:end], _all_rows(member), shares)
        return torch.cat([tensor[:start], part, tensor[end:]])
    shares = shares.to(tensor)
    along = tensor.movedim(member.axis, 0)
    places = member.index(len(shares), tensor.device).flatten()
    channels = along[places].reshape(len(shares), -1)
    mixed = (shares @ channels).reshape(len(places), *along.shape[1:])
    return along.index_copy(0, places, mixed).movedim(0, member.axis)


def mix(
    state: Mapping[str, Tensor], groups: Sequence[Group], shares: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The state of a network whose hidden channels are means of its own: see `mix_axis`.

    For permutation matrices this is `permute`; else the function of the whole changes. Sums are in double
    precision.
    """
    result = dict(state)
    for group in groups:
        for member in group.members:
            tensor = result[member.name]
            result[member.name] = mix_axis(tensor.double(), member, shares[group.name]).to(tensor.dtype)
    return result


def _all_rows(member: Member) -> Member:
    return Member(member.name, member.axis, member.block, member.start, member.places)


def random_permutations(groups: Sequence[Group], generator: torch.Generator) -> dict[str, Tensor]:
    """A permutation for each group, drawn uniformly among those that leave the function unchanged."""
    heads: dict[str, Tensor] = {}
    found = {}
    for group in groups:
        if not group.blocks:
            found[group.name] = torch.randperm(group.size, generator=generator)
            continue
        if group.family not in heads:
            heads[group.family] = torch.randperm(group.blocks, generator=generator)
        size = group.size // group.blocks
        inside = [torch.randperm(size, generator=generator) for _ in range(group.blocks)]
        found[group.name] = of_blocks(heads[group.family], inside)
    return found


def of_blocks(order: Tensor, inside: Sequence[Tensor]) -> Tensor:
    """The permutation that puts block ``order[b]`` at place b, its channels as ``inside[b]`` says."""
    size = len(inside[0])
    return torch.cat(
        [block * size + channels for block, channels in zip(order.tolist(), inside, strict=True)]
    )
