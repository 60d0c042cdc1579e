"""Slices of a network: what is left of its tensors when some hidden channels are absent."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from dimat.models.symmetry import Group


def inside(
    shapes: Mapping[str, torch.Size], groups: Iterable[Group], kept: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """By name, which entries of tensors of some ``shapes`` belong to no channel but those ``kept``.

    ``kept`` are the indices of channels by name of their group; of a group that it does not name, none are.
    With all other entries at zero, convolutions and linear layers put out nothing for absent channels, and
    take nothing from them; where normalizations scale and shift by them, neither is a trace left there.
    """
    found = {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()}
    for group in groups:
        present = torch.zeros(group.size, dtype=torch.bool)
        if group.name in kept:
            present[kept[group.name]] = True
        for member in group.members:
            if (tensor := found.get(member.name)) is not None:
                along = torch.ones(tensor.shape[member.axis], dtype=torch.bool)
                along[member.index(group.size)] = present[:, None]
                others = [1] * (tensor.ndim - 1 - member.axis)
                part = member.rows_of(tensor)
                part &= along.view(-1, *others)
    return found
