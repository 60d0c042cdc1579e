"""Merging of given networks, with no graph and no rounds: what other projects import."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor, nn

from dimat.arithmetic import Precision, arithmetic
from dimat.merging.aligning import aligned
from dimat.merging.averaging.merged import average
from dimat.merging.averaging.options import AnyCoefficients, Averaging
from dimat.merging.averaging.robust import Robust
from dimat.merging.averaging.task_vectors import TaskVectors
from dimat.merging.calibration.options import Calibration, Repair
from dimat.merging.calibration.repair import repair as repair_network
from dimat.merging.given import check_networks, in_full, in_types_of, on_device, unwrapped
from dimat.merging.matching.matcher import Soft
from dimat.merging.matching.options import Alignment, Matching
from dimat.models.explaining import explained
from dimat.models.symmetry import Group, Permutations


@dataclass(frozen=True)
class Merged:
    """A merged network, and how it came about.

    ``permutations[k]`` re-orders the k-th given network like the first (see `permute`). For each group of
    channels, ``objective`` and ``objective_in_place`` are the mean score of matched channels over its
    largest conceivable value, with these permutations and without: for activation matching, the mean
    correlation. ``groups`` says what is permuted together. ``unknown`` has operations whose symmetry is not
    known, each with where it was met first: what they take stays in place. Where the matcher has a
    temperature, ``shares[k]`` are the soft maps (C, C) by which the k-th network was re-expressed, and
    permutations those at temperature 0. All are empty if nothing was matched.
    """

    model: nn.Module
    permutations: list[Permutations]
    objective: dict[str, float]
    objective_in_place: dict[str, float]
    groups: list[Group]
    unknown: Mapping[str, str] = field(default_factory=dict)
    shares: list[Soft] = field(default_factory=list)


def merge(
    models: Sequence[nn.Module],
    images: Tensor | Iterable[Any],
    *,
    weights: Sequence[float] | None = None,
    matcher: str | Mapping[str, Any] | None = "activation",
    alignment: Alignment = "consistent",
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
    networks with each other, ``per_edge`` each one with the first alone; ``universe`` is another way to the
    former. ``base`` is the network that all
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
    if base is not None:
        base = unwrapped(base)
        check_networks([*map(unwrapped, models), base])
    shares = [1 / max(len(models), 1)] * len(models) if weights is None else list(weights)
    if models and (len(shares) != len(models) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6):
        raise ValueError(f"weights: expected {len(models)} that sum to 1, found {shares}")
    given = aligned(
        models,
        images,
        matching,
        recalibrates=repair != "none",
        batch_size=batch_size,
        precision=precision,
    )
    start = None
    if base is not None:
        base = in_full(on_device([base], given.device))[0]
        start = {name: parameter.detach() for name, parameter in base.named_parameters()}
    like, states = given.models[0], given.states
    with explained("averaging"):
        new = average(like, states, shares, averaging, given.images, first=False, base=start).network
    if calibration.repair != "none":
        with arithmetic(given.device, precision), explained("repair"):
            repair_network(new, states, shares, calibration.repair, given.images)
    return Merged(in_types_of(new, unwrapped(models[0])), **vars(given.matches))
