"""Merging of given networks, with no graph and no rounds: what other projects import."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dimat.merging.averaging.average import weighted_average
from dimat.merging.averaging.coefficients import Entropy, tuned_average
from dimat.merging.averaging.scale import shrink
from dimat.merging.calibration.recalibration import recalibrate
from dimat.merging.calibration.renormalization import renormalize
from dimat.merging.matching.diagnostics import objectives
from dimat.merging.matching.frames import Relative, common_frames, in_place, matched_pair
from dimat.merging.matching.matcher import Similarity
from dimat.merging.matching.rematching import Reward
from dimat.merging.matching.statistics import Pair
from dimat.merging.options import Merge
from dimat.models.symmetry import Group, Permutations, permutation_groups, permute

Pass = Callable[[], Iterator[Tensor]]
"""Starts one pass over normalized images (batch, channels, height, width)."""
State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Merged:
    """A merged network, and how it came about.

    ``permutations[k]`` re-orders the k-th given network like the first (see `permute`). For each group of
    channels, ``objective`` and ``objective_in_place`` are the mean score of matched channels over its
    largest conceivable value, with these permutations and without: for activation matching, the mean
    correlation. ``groups`` says what is permuted together.
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
    matcher: str | Mapping[str, Any] = "activation",
    alignment: Literal["consistent", "per_edge"] = "consistent",
    coefficients: str | Mapping[str, Any] = "mixing",
    repair: Literal["none", "recalibrate", "repair", "rescale"] = "recalibrate",
    batch_size: int = 100,
) -> Merged:
    """Merge two or more trained networks of one architecture into one, in the order of the first.

    ``images`` are normalized as in training: one tensor (n, channels, height, width), or what gives
    batches as often as it is asked to, such as a list or a DataLoader (of what a batch holds, the first is
    taken). They are used for matching and repair; no labels are needed. ``weights`` sum to 1 and are equal
    by default. All other options are those of `Merge`, where they are explained; a name alone stands for
    its defaults, as in the configuration. ``consistent`` matches all networks with each other,
    ``per_edge`` each one with the first alone.

    The given networks are not changed. `ValueError` for options that are not valid or networks that differ
    in shape, `UnsupportedOperation` for a layer whose permutation symmetry is not known.
    """
    options = Merge.model_validate(
        {"matcher": matcher, "alignment": alignment, "coefficients": coefficients, "repair": repair}
    )
    check_alike(models)
    shares = [1 / len(models)] * len(models) if weights is None else list(weights)
    if len(shares) != len(models) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"weights: {shares} is not valid; valid are {len(models)} of them that sum to 1")
    seen = batches_of(images, batch_size, next(models[0].parameters()).device)
    shape = next(seen(), torch.empty(0)).shape[1:]
    if len(shape) != 3:
        raise ValueError(f"images: no images of shape (channels, height, width), found {tuple(shape)}")

    networks = {position: copy.deepcopy(model) for position, model in enumerate(models)}
    groups = permutation_groups(networks[0], (shape[0], shape[1], shape[2]))
    others = range(1, len(models))
    pairs = [
        (i, j) for i in networks for j in others if i < j and (options.alignment == "consistent" or i == 0)
    ]
    similarities = compare(networks, groups, pairs, seen, options)
    if options.alignment == "consistent":
        frames, _ = common_frames(similarities, groups, len(models), Reward(), anew=True)
        permutations: list[Permutations] = [dict(Relative(frames[0], frames[j])) for j in networks]
        matched = {(i, j): Relative(frames[i], frames[j]) for i, j in pairs}
    else:
        matched = {pair: matched_pair(similarities[pair], groups, Reward()) for pair in pairs}
        permutations = [in_place([0], groups)[0], *(matched[0, j] for j in others)]

    states = [
        permute(model.state_dict(), groups, order) for model, order in zip(models, permutations, strict=True)
    ]
    reached = {group.name: objectives(group, matched, similarities) for group in groups if pairs}
    return Merged(
        average(models[0], states, shares, options, seen, seen),
        permutations,
        {name: value for name, (value, _) in reached.items()},
        {name: value for name, (_, value) in reached.items()},
        groups,
    )


def check_alike(models: Sequence[nn.Module]) -> None:
    """`ValueError` unless there are networks and all have tensors of the same names and shapes."""
    if not models:
        raise ValueError("models: none are given; valid are two or more networks of one architecture")
    shapes = [{name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} for model in models]
    for position, other in enumerate(shapes):
        for name in shapes[0].keys() | other.keys():
            if shapes[0].get(name) != other.get(name):
                raise ValueError(
                    f"models: {name!r} has shape {other.get(name)} in network {position} and "
                    f"{shapes[0].get(name)} in network 0; valid are networks of one architecture"
                )


def batches_of(images: Tensor | Iterable[Any], batch_size: int, device: torch.device) -> Pass:
    """Passes over images that are one tensor or come in batches.

    A tensor's single last image is left out: it would be a batch without statistics.
    """
    if isinstance(images, Tensor):
        batches: Iterable[Any] = [part for part in images.split(batch_size) if len(part) > 1] or [images]
    elif isinstance(images, Iterator):
        raise ValueError("images: can be gone through only once; valid is a tensor, a list or a DataLoader")
    else:
        batches = images

    def start() -> Iterator[Tensor]:
        for batch in batches:
            yield (batch if isinstance(batch, Tensor) else batch[0]).to(device)

    return start


def compare(
    models: Mapping[int, nn.Module], groups: list[Group], pairs: list[Pair], images: Pass, merge: Merge
) -> dict[Pair, Similarity]:
    """The similarity of the networks of each pair, seen on the same ``images``; networks stay unchanged."""
    calibrates = merge.repair != "none" and merge.matcher.looks_at_images
    if calibrates:
        models = copy.deepcopy(dict(models))
        if merge.passes == 3:
            for model in models.values():
                recalibrate(model, images())
    return merge.matcher.compare(models, groups, pairs, images(), calibrates and merge.passes == 2)


def average(
    model: nn.Module,
    states: Sequence[State],
    weights: Sequence[float],
    merge: Merge,
    images: Pass,
    unlabelled: Pass,
    scale: float = 1.0,
) -> nn.Module:
    """The weighted average of aligned ``states`` as a network like ``model``, repaired on ``images``.

    Coefficients, where they are tuned, are tuned on ``unlabelled`` images. Weights without a scale of
    their own are multiplied by ``scale``.
    """
    merged = with_state(model, weighted_average(states, weights))
    if isinstance(merge.coefficients, Entropy):
        steps, rate = merge.coefficients.steps, merge.coefficients.learning_rate
        merged.load_state_dict(tuned_average(merged, states, weights, unlabelled, steps, rate)[0])
    if scale != 1:
        shrink(merged, scale)
    if merge.repair == "recalibrate":
        recalibrate(merged, images())
    elif merge.repair in ("repair", "rescale"):
        parents = [with_state(model, state) for state in states]
        for parent in parents:
            recalibrate(parent, images())
        renormalize(merged, parents, weights, images, shift=merge.repair == "repair")
    return merged


def with_state(model: nn.Module, state: State) -> nn.Module:
    """A network like ``model`` with another state."""
    other = copy.deepcopy(model)
    other.load_state_dict(state)
    return other
