"""Permutations of coordinates on the links of a graph: made up, and those that matching found."""

from collections.abc import Mapping

import numpy
import torch
from numpy import ndarray
from numpy.random import Generator
from torch import Tensor

from dimat.errors import InputError
from dimat.models.symmetry import Group, Permutations, permute
from theory.gap.lift import Lift, Pair, inverse_of


def identity(mixing: ndarray, size: int) -> Lift:
    """P_ij = I: plain averaging of ``size`` coordinates."""
    return Lift(mixing, dict.fromkeys(_links(mixing), numpy.arange(size)))


def consistent(mixing: ndarray, size: int, generator: Generator) -> Lift:
    """P_ij = Q_i Q_j^T with random Q_i: every agent has an order of its own, and all cycles close."""
    return drifted(mixing, size, 0.0, generator)


def independent(mixing: ndarray, size: int, generator: Generator) -> Lift:
    """A random permutation for each link; P_ji = P_ij^T."""
    return drifted(mixing, size, 1.0, generator)


def drifted(mixing: ndarray, size: int, share: float, generator: Generator) -> Lift:
    """Consistent permutations, then on each link a random ``share`` of the coordinates matched at random.

    `InputError` unless the share is from 0 to 1.
    """
    if not 0 <= share <= 1:
        raise InputError(f"share: {share} of the coordinates is not from 0 to 1")
    frames = [generator.permutation(size) for _ in mixing]
    found = {}
    for i, j in _links(mixing):
        if i < j or (j, i) not in found:
            order = frames[j][inverse_of(frames[i])]
            astray = generator.permutation(size)[: round(share * size)]
            order[astray] = order[generator.permutation(astray)]
            found[i, j] = order
        else:
            found[i, j] = inverse_of(found[j, i])
    return Lift(mixing, found)


def of_group(
    mixing: ndarray, permutations: Mapping[Pair, Permutations], group: str, inverse: bool = True
) -> Lift:
    """The channels of one group under matched ``permutations``, {(i, j): {group: P_ij}}, of all links.

    They are those of `dimat.merging.matching.neighbours.Matched`; ``inverse`` as in `Lift`.
    """
    return Lift(mixing, {pair: orders[group].numpy() for pair, orders in permutations.items()}, inverse)


def of_parameters(
    mixing: ndarray,
    permutations: Mapping[Pair, Permutations],
    groups: list[Group],
    state: Mapping[str, Tensor],
    inverse: bool = True,
) -> Lift:
    """All entries of a ``state``, one tensor after the other, under ``permutations`` of channels.

    A channel moves all its entries alike, and those of a weight between two groups move with both.
    """
    sizes = [tensor.numel() for tensor in state.values()]
    numbers = torch.arange(sum(sizes)).split(sizes)
    numbered = {
        name: number.view(tensor.shape) for (name, tensor), number in zip(state.items(), numbers, strict=True)
    }
    found = {}
    for pair, orders in permutations.items():
        moved = permute(numbered, groups, orders)
        found[pair] = torch.cat([moved[name].flatten() for name in state]).numpy()
    return Lift(mixing, found, inverse)


def _links(mixing: ndarray) -> list[Pair]:
    return [(int(i), int(j)) for i, j in numpy.argwhere(mixing) if i != j]
