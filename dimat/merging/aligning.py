"""Given networks, put in the order of the first: what merging them, and the line between them, start from."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor, nn

from dimat.arithmetic import Precision, arithmetic
from dimat.merging.given import (
    NotUsable,
    batches_of,
    check_networks,
    in_full,
    on_device,
    tensors_of,
    type_for,
    unwrapped,
)
from dimat.merging.matching.compare import compare
from dimat.merging.matching.frames import Relative, common_frames, in_place, matched_pair
from dimat.merging.matching.matcher import Soft
from dimat.merging.matching.options import Matching
from dimat.merging.matching.reached import objectives
from dimat.merging.matching.rematching import Reward
from dimat.merging.matching.soft import soft_maps
from dimat.merging.matching.universe import as_matrices, universal_frames
from dimat.models.checking import check_reached, check_symmetry
from dimat.models.explaining import explained
from dimat.models.groups import mix
from dimat.models.operations import check_same_operations
from dimat.models.passes import Pass
from dimat.models.symmetry import Group, Permutations, permute, trace

CHECKED = 4
"""So many images of the first batch show whether the symmetry that was found is one."""


@dataclass(frozen=True)
class Matches:
    """What was matched: see `Merged`, which has the same."""

    permutations: list[Permutations] = field(default_factory=list)
    objective: dict[str, float] = field(default_factory=dict)
    objective_in_place: dict[str, float] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)
    unknown: Mapping[str, str] = field(default_factory=dict)
    shares: list[Soft] = field(default_factory=list)


class InOrder(NamedTuple):
    """Networks on one device, their ``states`` in one order, and a pass over the images they look at.

    ``models`` are those that were given, in their own order, in float32 at least.
    """

    models: list[nn.Module]
    states: list[Mapping[str, Tensor]]
    matches: Matches
    images: Pass
    device: torch.device


def aligned(
    models: Sequence[nn.Module],
    images: Tensor | Iterable[Any],
    matching: Matching | None,
    *,
    recalibrates: bool,
    batch_size: int,
    precision: Precision,
) -> InOrder:
    """Networks in the order of the first, matched on ``images`` if there is a ``matching``.

    Arguments are those of `dimat.merge`, and so are the errors; given networks are not changed.
    """
    models = [unwrapped(model) for model in models]
    check_networks(models)
    like = models[0]
    device = next((tensor.device for tensor in tensors_of(like).values()), torch.device("cpu"))
    models = in_full(on_device(models, device))
    first = next(batches_of(images, batch_size, device)(), None)
    if first is None or first.ndim < 2:
        found = "no images" if first is None else f"shape {tuple(first.shape)}"
        raise NotUsable(f"images: {found}; expected shape (n, channels, height, width), or (n, ...)")
    seen = batches_of(images, batch_size, device, type_for(models[0], first[:CHECKED]))

    states: list[Mapping[str, Tensor]] = [model.state_dict() for model in models]
    if matching is None:
        return InOrder(models, states, Matches(), seen, device)
    with arithmetic(device, precision), explained("matching"):
        matches = matched(models, seen, matching, recalibrates)
    if matches.shares:
        maps = zip(states, matches.shares, strict=True)
        states = [mix(state, matches.groups, soft) for state, soft in maps]
    else:
        orders = zip(states, matches.permutations, strict=True)
        states = [permute(state, matches.groups, order) for state, order in orders]
    return InOrder(models, states, matches, seen, device)


def matched(
    models: Sequence[nn.Module],
    images: Pass,
    matching: Matching,
    recalibrates: bool,
) -> Matches:
    """What brings networks in the order of the first."""
    networks = {position: copy.deepcopy(model) for position, model in enumerate(models)}
    few = next(images())[:CHECKED]
    few = few if len(few) > 1 else few.repeat(2, *[1] * (few.ndim - 1))
    check_same_operations(models, [few])
    symmetry = trace(networks[0], [few])
    check_reached(networks[0], symmetry.unreached)
    groups = symmetry.groups
    check_symmetry(networks[0], groups, [few])
    others = range(1, len(models))
    consistent = matching.alignment != "per_edge"
    pairs = [(i, j) for i in networks for j in others if i < j and (consistent or i == 0)]
    similarities = compare(networks, groups, pairs, images, matching, recalibrates=recalibrates)
    relative: Mapping[tuple[int, int], Permutations]
    shares: list[Soft] = []
    if consistent:
        if matching.alignment == "universe":
            frames, _ = universal_frames(similarities, groups, len(models))
        else:
            frames, _ = common_frames(similarities, groups, len(models), Reward(), anew=True)
        permutations: list[Permutations] = [dict(Relative(frames[0], frames[j])) for j in networks]
        relative = {(i, j): Relative(frames[i], frames[j]) for i, j in pairs}
    else:
        relative = {pair: matched_pair(similarities[pair], groups, Reward()) for pair in pairs}
        permutations = [in_place([0], groups)[0], *(relative[0, j] for j in others)]
        if (temperature := matching.matcher.temperature) is not None:
            maps = (soft_maps(similarities[pair], groups, relative[pair], temperature) for pair in pairs)
            shares = [as_matrices(permutations[0]), *maps]
    found = objectives(groups, relative, similarities)
    means = [
        {group.name: float(numpy.mean([found[group.name, pair][kind] for pair in pairs])) for group in groups}
        if pairs
        else {}
        for kind in (0, 1)
    ]
    return Matches(permutations, means[0], means[1], groups, symmetry.unknown, shares)
