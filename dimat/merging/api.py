"""Merging of given networks, with no graph and no rounds: what other projects import."""

import copy
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from dimat.arithmetic import Precision, arithmetic
from dimat.merging.averaging.merged import average
from dimat.merging.averaging.options import AnyCoefficients, Averaging
from dimat.merging.averaging.robust import Robust
from dimat.merging.averaging.task_vectors import TaskVectors
from dimat.merging.calibration.options import Calibration, Repair
from dimat.merging.calibration.repair import repair as repair_network
from dimat.merging.given import (
    NotUsable,
    batches_of,
    check_networks,
    in_full,
    in_types_of,
    on_device,
    tensors_of,
    type_for,
    unwrapped,
)
from dimat.merging.matching.compare import compare
from dimat.merging.matching.diagnostics import objectives
from dimat.merging.matching.frames import Relative, common_frames, in_place, matched_pair
from dimat.merging.matching.options import Matching
from dimat.merging.matching.rematching import Reward
from dimat.models.checking import check_reached, check_symmetry
from dimat.models.explaining import explained
from dimat.models.operations import check_same_operations
from dimat.models.symmetry import Group, Permutations, permute, trace
from dimat.tasks.network_task import Pass

CHECKED = 4
"""So many images of the first batch show whether the symmetry that was found is one."""


@dataclass(frozen=True)
class Merged:
    """A merged network, and how it came about.

    ``permutations[k]`` re-orders the k-th given network like the first (see `permute`). For each group of
    channels, ``objective`` and ``objective_in_place`` are the mean score of matched channels over its
    largest conceivable value, with these permutations and without: for activation matching, the mean
    correlation. ``groups`` says what is permuted together. ``unknown`` has operations whose symmetry is not
    known, each with where it was met first: what they take stays in place. All are empty if nothing was
    matched.
    """

    model: nn.Module
    permutations: list[Permutations]
    objective: dict[str, float]
    objective_in_place: dict[str, float]
    groups: list[Group]
    unknown: Mapping[str, str] = field(default_factory=dict)


def merge(
    models: Sequence[nn.Module],
    images: Tensor | Iterable[Any],
    *,
    weights: Sequence[float] | None = None,
    matcher: str | Mapping[str, Any] | None = "activation",
    alignment: Literal["consistent", "per_edge"] = "consistent",
    coefficients: str | Mapping[str, Any] = "mixing",
    base: nn.Module | None = None,
    repair: Repair = "recalibrate",
    batch_size: int = 100,
    precision: Precision = "float32",
) -> Merged:
    """Merge two or more trained networks of one architecture into one, in the order of the first.

    ``images`` are normalized as in training: one tensor or array (n, channels, height, width), or (n, ...)
    of whatever shape networks take, or what gives batches as often as it is asked to, such as a list or a
    DataLoader (of what a batch holds, the first is taken, or what is under a name such as "images" or
    "pixel_values"). They are used for matching and repair; no labels are needed. ``weights`` sum to 1 and are
    equal by default. ``matcher`` and ``alignment`` are those of `Matching`, ``repair`` that of `Calibration`,
    where they are explained; a name alone stands for its defaults, as in the configuration. Without a
    matcher (`None`), networks are averaged as they stand, and need not be traced. ``consistent`` matches all
    networks with each other, ``per_edge`` each one with the first alone. ``base`` is the network that all
    were trained on from, which ``coefficients`` of task vectors count from. ``precision`` is that of the
    images' passes through networks.

    The given networks are not changed; what runs them in parallel, compiled or averaged over steps is taken
    off. The result has the types of numbers of the first. What an operation without a known symmetry takes
    is not re-ordered. Before anything is averaged, the symmetry is tried on the network itself.
    `ValueError` for options that are not valid, images that cannot be looked at or networks that differ in
    shape; `UnsupportedOperation`, which names the module, for networks that compute different things, and
    for what they compute if re-ordering could change it.
    """
    calibration = Calibration(repair=repair, precision=precision)
    matching = None
    if matcher is not None:
        matching = Matching.model_validate({"matcher": matcher, "alignment": alignment})
    averaging = Averaging(TypeAdapter(AnyCoefficients).validate_python(coefficients))
    if isinstance(averaging.coefficients, TaskVectors) and base is None:
        raise ValueError(
            f"base: {averaging.coefficients.name} counts from the network that all were trained on from; "
            "expected that network"
        )
    if isinstance(averaging.coefficients, Robust) and weights is not None:
        raise ValueError(f"weights: {averaging.coefficients.name} takes all networks alike; expected none")
    models = [unwrapped(model) for model in models]
    base = None if base is None else unwrapped(base)
    check_networks([*models, *([base] if base else [])])
    shares = [1 / len(models)] * len(models) if weights is None else list(weights)
    if len(shares) != len(models) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"weights: expected {len(models)} that sum to 1, found {shares}")
    like = models[0]
    device = next((tensor.device for tensor in tensors_of(like).values()), torch.device("cpu"))
    models = in_full(on_device(models, device))
    base = None if base is None else in_full(on_device([base], device))[0]
    first = next(batches_of(images, batch_size, device)(), None)
    if first is None or first.ndim < 2:
        found = "no images" if first is None else f"shape {tuple(first.shape)}"
        raise NotUsable(f"images: {found}; expected shape (n, channels, height, width), or (n, ...)")
    seen = batches_of(images, batch_size, device, type_for(models[0], first[:CHECKED]))

    found = Merged(models[0], [], {}, {}, [])
    states: list[Mapping[str, Tensor]] = [model.state_dict() for model in models]
    if matching is not None:
        with arithmetic(device, precision), explained("matching"):
            found = matched(models, seen, matching, repair != "none")
        orders = zip(states, found.permutations, strict=True)
        states = [permute(state, found.groups, order) for state, order in orders]
    start = {name: parameter.detach() for name, parameter in base.named_parameters()} if base else None
    with explained("averaging"):
        new = average(models[0], states, shares, averaging, seen, first=False, base=start).network
    if calibration.repair != "none":
        with arithmetic(device, precision), explained("repair"):
            repair_network(new, states, shares, calibration.repair, seen)
    new = in_types_of(new, like)
    return dataclasses.replace(found, model=new)


def matched(
    models: Sequence[nn.Module],
    images: Pass,
    matching: Matching,
    recalibrates: bool,
) -> Merged:
    """The first network, and what brings the others in its order."""
    networks = {position: copy.deepcopy(model) for position, model in enumerate(models)}
    few = next(images())[:CHECKED]
    few = few if len(few) > 1 else few.repeat(2, *[1] * (few.ndim - 1))
    check_same_operations(models, [few])
    symmetry = trace(networks[0], [few])
    check_reached(networks[0], symmetry.unreached)
    groups = symmetry.groups
    check_symmetry(networks[0], groups, [few])
    others = range(1, len(models))
    consistent = matching.alignment == "consistent"
    pairs = [(i, j) for i in networks for j in others if i < j and (consistent or i == 0)]
    similarities = compare(networks, groups, pairs, images, matching, recalibrates=recalibrates)
    relative: Mapping[tuple[int, int], Permutations]
    if consistent:
        frames, _ = common_frames(similarities, groups, len(models), Reward(), anew=True)
        permutations: list[Permutations] = [dict(Relative(frames[0], frames[j])) for j in networks]
        relative = {(i, j): Relative(frames[i], frames[j]) for i, j in pairs}
    else:
        relative = {pair: matched_pair(similarities[pair], groups, Reward()) for pair in pairs}
        permutations = [in_place([0], groups)[0], *(relative[0, j] for j in others)]
    found = objectives(groups, relative, similarities)
    means = [
        {group.name: float(numpy.mean([found[group.name, pair][kind] for pair in pairs])) for group in groups}
        if pairs
        else {}
        for kind in (0, 1)
    ]
    return Merged(models[0], permutations, means[0], means[1], groups, symmetry.unknown)
