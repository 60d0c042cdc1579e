"""The loss along the line between networks, and the barrier on it.

Networks whose weights can be averaged have no barrier between them: linear mode connectivity (Frankle,
Dziugaite, Roy and Carbin 2020). That two networks trained apart have none once their neurons are re-ordered
is the conjecture of Entezari, Sedghi, Saukh and Neyshabur (2022), and what matching is to bring about.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dimat.arithmetic import Precision, arithmetic
from dimat.merging.aligning import CHECKED, InOrder, aligned
from dimat.merging.averaging.average import weighted_average
from dimat.merging.averaging.merged import with_state
from dimat.merging.calibration.options import Calibration, Repair
from dimat.merging.calibration.repair import repair as repair_network
from dimat.merging.given import NotUsable, type_for
from dimat.merging.labelled import is_pair, labelled_batches
from dimat.merging.matching.options import Alignment, Matching
from dimat.models.explaining import explained
from dimat.models.modes import evaluated


@dataclass(frozen=True)
class Barrier:
    """What networks on the line from one network to another are worth.

    ``losses[k]`` is the mean loss of the network at ``positions[k]``: 0 is the first, 1 the other.
    ``accuracies`` are shares of right answers in [0, 1]; there are none if labels are no classes.
    """

    positions: tuple[float, ...]
    losses: tuple[float, ...]
    accuracies: tuple[float, ...] = ()

    @property
    def height(self) -> float:
        """How far the loss rises above the straight line between both ends, at most: 0 or more.

        max over t of L(t) - ((1 - t) L(0) + t L(1)), as Entezari et al. (2022, definition 1) have it; of
        ends that are equally good, the rise of Frankle et al. (2020).
        """
        first, last = self.losses[0], self.losses[-1]
        ends = [(1 - position) * first + position * last for position in self.positions]
        return max(loss - end for loss, end in zip(self.losses, ends, strict=True))


def barrier(
    models: Sequence[nn.Module],
    labelled: Any,
    *,
    images: Tensor | Iterable[Any] | None = None,
    matcher: str | Mapping[str, Any] | None = "activation",
    alignment: Alignment = "consistent",
    repair: Repair = "none",
    loss: Callable[[Tensor, Tensor], Tensor] = functional.cross_entropy,
    points: int = 11,
    batch_size: int = 100,
    precision: Precision = "float32",
) -> dict[tuple[int, int], Barrier]:
    """The line between each two networks i < j of one architecture, with neurons matched; by (i, j).

    Without a matcher (`None`), networks are taken as they stand: the line before matching. ``labelled`` are
    images, normalized as in training, with labels: a pair of tensors or arrays (n, ...) and (n,), or what
    gives batches of both, such as a DataLoader. On these, networks are evaluated at so many ``points`` at
    equal distances, both ends among them. ``images`` are what is matched and repaired on, the labelled ones
    by default. ``repair`` is done at each point, both ends among them, as after a merge. ``loss`` is the
    mean over a batch of outputs and labels. All else is as in `dimat.merge`.

    `ValueError` for options that are not valid, and for images without labels.
    """
    calibration = Calibration(repair=repair, precision=precision)
    matching = None
    if matcher is not None:
        matching = Matching.model_validate({"matcher": matcher, "alignment": alignment})
        if matching.matcher.temperature is not None:
            raise ValueError(
                f"matcher.temperature: {matching.matcher.temperature:g} changes the networks at the ends of "
                "lines; expected null"
            )
    if points < 2:
        raise ValueError(f"points: {points}; expected 2 or more, as both ends of the line are among them")
    if len(models) < 2:
        raise NotUsable(f"models: {len(models)}; expected two or more, as a line has two ends")
    first = next(labelled_batches(labelled, batch_size, torch.device("cpu"), None), None)
    if first is None:
        raise NotUsable("labelled: no images; expected one or more")
    own = labelled[0] if is_pair(labelled) else labelled
    given = aligned(
        models,
        own if images is None else images,
        matching,
        recalibrates=repair != "none",
        batch_size=batch_size,
        precision=precision,
    )
    kind = type_for(given.models[0], first[0][:CHECKED].to(given.device))

    def score(network: nn.Module) -> tuple[float, float | None]:
        return _score(network, labelled_batches(labelled, batch_size, given.device, kind), loss)

    positions = [point / (points - 1) for point in range(points)]
    found = {}
    with arithmetic(given.device, precision), explained("the line between networks"):
        for i, j in combinations(range(len(models)), 2):
            scores = [score(_between(given, i, j, position, calibration)) for position in positions]
            shares = [share for _, share in scores if share is not None]
            found[i, j] = Barrier(tuple(positions), tuple(mean for mean, _ in scores), tuple(shares))
    return found


def _between(given: InOrder, i: int, j: int, position: float, calibration: Calibration) -> nn.Module:
    """The network at a position on the line, repaired if that is asked for."""
    states, weights = [given.states[i], given.states[j]], [1 - position, position]
    network = with_state(given.models[0], weighted_average(states, weights))
    if calibration.repair != "none":
        repair_network(network, states, weights, calibration.repair, given.images)
    return network


@torch.no_grad()
def _score(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> tuple[float, float | None]:
    """The mean loss, and the share of right answers where labels are whole numbers."""
    total, right, count, classes = 0.0, 0, 0, True
    with evaluated(network):
        for images, labels in batches:
            outputs = network(images).float()
            total += _mean(loss, outputs, labels) * len(labels)
            classes = classes and not labels.is_floating_point() and (outputs.ndim, labels.ndim) == (2, 1)
            if classes:
                right += int((outputs.argmax(1) == labels).sum())
            count += len(labels)
    return total / count, right / count if classes else None


def _mean(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, labels: Tensor) -> float:
    """The mean loss of a batch; `NotUsable` if outputs and labels do not go together."""
    try:
        return float(loss(outputs, labels))
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        first = (str(error).strip().splitlines() or ["no message"])[0][:200]
        raise NotUsable(
            f"labelled: the loss of outputs {tuple(outputs.shape)} and labels {tuple(labels.shape)} ended "
            f"with {type(error).__name__} ({first}); expected labels that go with the outputs"
        ) from error
