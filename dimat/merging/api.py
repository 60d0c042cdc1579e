"""Merging of given networks, with no graph and no rounds: what other projects import."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from dimat.arithmetic import Precision, arithmetic
from dimat.merging.averaging.merged import average
from dimat.merging.averaging.options import AnyCoefficients, Averaging
from dimat.merging.averaging.task_vectors import TaskVectors
from dimat.merging.calibration.options import Calibration, Repair
from dimat.merging.calibration.repair import repair as repair_network
from dimat.merging.matching.compare import compare
from dimat.merging.matching.diagnostics import objectives
from dimat.merging.matching.frames import Relative, common_frames, in_place, matched_pair
from dimat.merging.matching.options import Matching
from dimat.merging.matching.rematching import Reward
from dimat.models.checking import check_reached, check_symmetry
from dimat.models.symmetry import Group, Permutations, permute, trace
from dimat.tasks.network_task import Pass

CHECKED = 8
"""So many images of the first batch show whether the symmetry that was found is one."""


@dataclass(frozen=True)
class Merged:
    """A merged network, and how it came about.

    ``permutations[k]`` re-orders the k-th given network like the first (see `permute`). For each group of
    channels, ``objective`` and ``objective_in_place`` are the mean score of matched channels over its
    largest conceivable value, with these permutations and without: for activation matching, the mean
    correlation. ``groups`` says what is permuted together. All are empty if nothing was matched.
    """

    model: nn.Module
    permutations: list[Permutations]
    objective: dict[str, float]
    objective_in_place: dict[str, float]
    groups: list[Group]


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

    ``images`` are normalized as in training: one tensor (n, channels, height, width), or what gives
    batches as often as it is asked to, such as a list or a DataLoader (of what a batch holds, the first is
    taken). They are used for matching and repair; no labels are needed. ``weights`` sum to 1 and are equal
    by default. ``matcher`` and ``alignment`` are those of `Matching`, ``repair`` that of `Calibration`,
    where they are explained; a name alone stands for its defaults, as in the configuration. Without a
    matcher (`None`), networks are averaged as they stand, and need not be traced. ``consistent`` matches all
    networks with each other, ``per_edge`` each one with the first alone. ``base`` is the network that all
    were trained on from, which ``coefficients`` of task vectors count from. ``precision`` is that of the
    images' passes through networks.

    The given networks are not changed. `ValueError` for options that are not valid or networks that differ
    in shape, `UnsupportedOperation` for a layer whose permutation symmetry is not known.
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
    check_alike([*models, *([base] if base else [])])
    shares = [1 / len(models)] * len(models) if weights is None else list(weights)
    if len(shares) != len(models) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"weights: expected {len(models)} that sum to 1, found {shares}")
    seen = batches_of(images, batch_size, next(models[0].parameters()).device)
    shape = next(seen(), torch.empty(0)).shape[1:]
    if not shape:
        raise ValueError("images: no images; expected shape (n, channels, height, width)")
    if len(shape) != 3:
        raise ValueError(f"images: expected shape (n, channels, height, width), found (n, *{tuple(shape)})")

    device = next(models[0].parameters()).device
    found = Merged(models[0], [], {}, {}, [])
    states: list[Mapping[str, Tensor]] = [model.state_dict() for model in models]
    if matching is not None:
        with arithmetic(device, precision):
            found = matched(models, seen, (shape[0], shape[1], shape[2]), matching, repair != "none")
        orders = zip(states, found.permutations, strict=True)
        states = [permute(state, found.groups, order) for state, order in orders]
    start = {name: parameter.detach() for name, parameter in base.named_parameters()} if base else None
    new = average(models[0], states, shares, averaging, seen, first=False, base=start).network
    if calibration.repair != "none":
        with arithmetic(device, precision):
            repair_network(new, states, shares, calibration.repair, seen)
    return Merged(new, found.permutations, found.objective, found.objective_in_place, found.groups)


def matched(
    models: Sequence[nn.Module],
    images: Pass,
    shape: tuple[int, int, int],
    matching: Matching,
    recalibrates: bool,
) -> Merged:
    """The first network, and what brings the others in its order."""
    networks = {position: copy.deepcopy(model) for position, model in enumerate(models)}
    found = trace(networks[0], [next(images())[:CHECKED]])
    check_reached(networks[0], found.unreached)
    groups = found.groups
    check_symmetry(networks[0], groups, [next(images())[:CHECKED]])
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
    return Merged(models[0], permutations, means[0], means[1], groups)


def check_alike(models: Sequence[nn.Module]) -> None:
    """`ValueError` unless there are networks and all have tensors of the same names and shapes."""
    if not models:
        raise ValueError("models: none are given; expected two or more networks of one architecture")
    shapes = [{name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} for model in models]
    for position, other in enumerate(shapes):
        for name in shapes[0].keys() | other.keys():
            if shapes[0].get(name) != other.get(name):
                raise ValueError(
                    f"models: {name!r} has shape {other.get(name)} in network {position} and "
                    f"{shapes[0].get(name)} in network 0; expected networks of one architecture"
                )


def batches_of(images: Tensor | Iterable[Any], batch_size: int, device: torch.device) -> Pass:
    """Passes over images that are one tensor or come in batches.

    A tensor's single last image is left out: it would be a batch without statistics.
    """
    if isinstance(images, Tensor):
        batches: Iterable[Any] = [part for part in images.split(batch_size) if len(part) > 1] or [images]
    elif isinstance(images, Iterator):
        raise ValueError("images: can be gone through only once; expected a tensor, a list or a DataLoader")
    else:
        batches = images

    def start() -> Iterator[Tensor]:
        for batch in batches:
            yield (batch if isinstance(batch, Tensor) else batch[0]).to(device, non_blocking=True)

    return start
