"""Lower ends of worst cases: one instance in rational numbers, whose conditions are checked one by one.

All its losses are f + <c_i, x>. It is stored as vectors: where the agents start, the c_i, the gradients of f
at the points in the order in which they are met, and values of f there. Trajectory and conditions are
computed from these by the rule itself, in exact arithmetic, and not by way of the program that found them.
"""

from dataclasses import dataclass
from itertools import islice, permutations

import numpy
from flint import fmpq
from numpy import ndarray

from theory.worst_case.case import ZERO, Case
from theory.worst_case.conditions import off_mean
from theory.worst_case.rules import RULES
from theory.worst_case.upper import NotCertified


@dataclass(frozen=True)
class Instance:
    """Vectors as rows of fractions, in d coordinates: ``start`` and ``tilts`` of all agents but the last."""

    start: ndarray
    """(N - 1, d), or (0, d) if all agents start at 0; the last agent's makes the sum 0."""
    tilts: ndarray
    """(N - 1, d), or (0, d): the c_i."""
    slopes: ndarray
    """(points, d): gradients of f."""
    values: tuple[fmpq, ...]
    """(points,): f."""


@dataclass(frozen=True)
class Played:
    """What an instance does: where f is known, and the iterates X_0 to X_{K-1} (K, N, d)."""

    points: ndarray
    iterates: ndarray
    start: ndarray
    tilts: ndarray
    means: tuple[int, ...]
    """The numbers of the points xbar_k."""


def played(case: Case, instance: Instance) -> Played:
    """The trajectory; `NotCertified` if the instance does not have as many points as there are."""
    points: dict[tuple[fmpq, ...], int] = {}
    tilts, start = (_completed(each, case.agents) for each in (instance.tilts, instance.start))

    def numbers(rows: ndarray) -> list[int]:
        return [points.setdefault(tuple(row), len(points)) for row in rows]

    def gradients(rows: ndarray) -> ndarray:
        found = numbers(rows)
        if len(points) > len(instance.slopes):
            raise NotCertified("the instance has too few points")
        return instance.slopes[found] + tilts

    iterates, means = [], []
    for rows in islice(RULES[case.rule](case, start, gradients), case.steps):
        iterates.append(rows)
        means += numbers((rows.sum(0) * fmpq(1, case.agents))[None])
    if len(points) != len(instance.slopes) or len(points) != len(instance.values):
        raise NotCertified("the instance has another number of points")
    return Played(numpy.array(list(points), object), numpy.array(iterates), start, tilts, tuple(means))


def _completed(rows: ndarray, agents: int) -> ndarray:
    """(N, d): a last row that makes the sum 0, or only zeros."""
    if not len(rows):
        return numpy.full((agents, rows.shape[1]), ZERO, object)
    return numpy.concatenate([rows, -rows.sum(0)[None]])


def lower_end(case: Case, instance: Instance) -> fmpq:
    """The objective of an instance; `NotCertified` if it is none of the case."""
    done = played(case, instance)
    share = fmpq(1, case.agents)
    slopes, values = instance.slopes, instance.values
    _require(_square(done.start) * share <= case.disagreement, "the agents start too far apart")
    _require(_square(done.tilts) * share <= case.heterogeneity, "the losses are too heterogeneous")
    for value, slope in zip(values, slopes, strict=True):
        least = value - _square(slope) / 2
        _require(values[done.means[0]] - least <= case.gap, "the initial gap is too large")
    for p, q in permutations(range(len(slopes)), 2):
        apart, change = done.points[p] - done.points[q], slopes[p] - slopes[q]
        mean = (slopes[p] + slopes[q]) / 2
        least = values[q] + mean @ apart + _square(change) / 4 - _square(apart) / 4
        _require(least <= values[p], "the loss is not smooth")
    if case.quantity == "gradient":
        return sum((_square(slopes[mean]) for mean in done.means), ZERO) / case.steps
    return sum((_square(off_mean(rows)) for rows in done.iterates), ZERO) * share / case.steps


def _require(holds: bool, else_: str) -> None:
    if not holds:
        raise NotCertified(else_)


def _square(array: ndarray) -> fmpq:
    return sum((entry * entry for entry in array.flat), ZERO)
