"""What every instance of a case satisfies, as inequalities between inner products and values of losses.

The unknown vectors are the basis: where agents start, gradients, and, where all losses are f + <c_i, x>, the
c_i. Points are combinations of them. Each loss is 1-smooth, so between its points p and q with gradients g
(Taylor, Hendrickx and Glineur 2017, Theorem 3.10)

    f_q + <g_p + g_q, x_p - x_q> / 2 + |g_p - g_q|^2 / 4 - |x_p - x_q|^2 / 4 <= f_p,

and for finitely many points these conditions suffice: there is such a loss. In both classes below f* = 0 is
at most f(p) - |grad f(p)|^2 / 2 at any point p; that suffices, too. For let
u_p(y) = f_p + <g_p, y - x_p> + |y - x_p|^2 / 2. The smooth function f with f(y) + |y|^2 / 2 = convex envelope
of min_p u_p(y) + |y|^2 / 2 interpolates the points, lies nowhere above a u_p, and, as |.|^2 is convex,
nowhere below min_p min u_p = min_p (f_p - |g_p|^2 / 2).

Where ``shared``, losses are f + <c_i, x>, and the conditions are all that there are: a maximum over them is
attained. In general, each agent has a loss of its own, and heterogeneity is asked for only at the means
xbar_k: a maximum over these conditions is an upper end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, permutations

import numpy
from flint import fmpq
from numpy import ndarray

from theory.worst_case.case import ONE, ZERO, Case
from theory.worst_case.rules import RULES

HALF, QUARTER = fmpq(1, 2), fmpq(1, 4)
Form = list[tuple[fmpq, ndarray, ndarray]]
"""Sum of c <u, v>: each with c, u and v, in coefficients (n,) of basis vectors."""


def squares(vectors: ndarray, factor: fmpq) -> Form:
    """``factor`` times the sum of the squared norms of ``vectors`` (m, n)."""
    return [(factor, vector, vector) for vector in vectors]


@dataclass(frozen=True)
class Condition:
    """``form`` + sum of ``values`` (factors by number of the value) <= ``limit``."""

    form: Form
    values: dict[int, fmpq]
    limit: fmpq = ZERO


@dataclass(frozen=True)
class Conditions:
    """All of a case: ``objective`` is to be maximized over ``dimension`` vectors and ``values`` numbers.

    ``losses`` has the numbers of the values of each loss. ``pairs`` has the place in ``conditions`` of the
    one between values p and q of the same loss, and ``initial_gap`` that of the one on f(xbar_0).
    """

    dimension: int
    values: int
    objective: Form
    conditions: list[Condition]
    losses: list[list[int]]
    pairs: dict[tuple[int, int], int]
    initial_gap: int


class Unknowns:
    """Basis vectors as they are needed, and what losses are known at."""

    def __init__(self, most: int, losses: int) -> None:
        self.most, self.used = most, 0
        self.points: list[dict[tuple[fmpq, ...], int]] = [{} for _ in range(losses)]
        """Those (n,) at which each loss is known, with the numbers of their values."""
        self.gradients: list[ndarray] = []

    def vector(self) -> ndarray:
        """A further basis vector."""
        found = numpy.full(self.most, ZERO, object)
        found[self.used] = ONE
        self.used += 1
        return found

    def value(self, loss: int, point: ndarray) -> int:
        """The number of the value, and of the gradient, of a loss at a point; equal points are one."""
        points = self.points[loss]
        if (key := tuple(point)) not in points:
            points[key] = len(self.gradients)
            self.gradients.append(self.vector())
        return points[key]


def off_mean(rows: ndarray) -> ndarray:
    """Distances (N, d) of rows from their mean."""
    return rows - rows.sum(0) * fmpq(1, len(rows))


def conditions_of(case: Case, shared: bool) -> Conditions:
    """The conditions of a case; where ``shared``, losses are f + <c_i, x>."""
    agents = case.agents
    share = fmpq(1, agents)
    shared = shared or not case.heterogeneity  # then all gradients are those of f
    unknown = Unknowns(2 * agents * (case.steps + 1), 1 if shared else agents)
    zeros = numpy.full((agents, unknown.most), ZERO, object)
    start = _sum_to_zero(unknown, agents) if case.disagreement else zeros
    tilts = _sum_to_zero(unknown, agents) if shared and case.heterogeneity else zeros
    found: list[Condition] = []
    objective: Form = []
    means: list[list[int]] = []
    at: list[int] = []

    def gradients_at(points: ndarray) -> tuple[ndarray, list[int]]:
        numbers = [unknown.value(0 if shared else agent, point) for agent, point in enumerate(points)]
        return numpy.array([unknown.gradients[number] for number in numbers]) + tilts, numbers

    for points in islice(RULES[case.rule](case, start, lambda x: gradients_at(x)[0]), case.steps):
        mean = points.sum(0) * share
        slopes, at = gradients_at(numpy.tile(mean, (agents, 1)))
        if not shared:
            found.append(Condition(squares(off_mean(slopes), share), {}, case.heterogeneity))
        means.append(at)
        if case.quantity == "gradient":
            objective += squares(slopes.sum(0)[None] * share, fmpq(1, case.steps))
        else:
            objective += squares(off_mean(points), share / case.steps)
    if tilts is not zeros:
        found.append(Condition(squares(tilts, share), {}, case.heterogeneity))
    if start is not zeros:
        found.append(Condition(squares(start, share), {}, case.disagreement))
    everywhere = [[number] for number in range(len(unknown.gradients))] if shared else means
    for numbers in everywhere:
        slope = numpy.array([unknown.gradients[number] for number in numbers]).sum(0) * fmpq(1, len(numbers))
        found.append(Condition(squares(slope[None], HALF), _mean_of(numbers, -1)))
    found.append(Condition([], _mean_of(means[0], 1), case.gap))
    initial_gap, pairs = len(found) - 1, {}
    for points in unknown.points:
        for (x_p, p), (x_q, q) in permutations(points.items(), 2):
            pairs[p, q] = len(found)
            found.append(_between(unknown, numpy.array(x_p, object), p, numpy.array(x_q, object), q))
    return _without_unused(unknown, objective, found, pairs, initial_gap)


def _sum_to_zero(unknown: Unknowns, agents: int) -> ndarray:
    """A vector for each agent (N, n), all of whose sum is 0."""
    free = numpy.array([unknown.vector() for _ in range(agents - 1)])
    return numpy.concatenate([free, -free.sum(0)[None]])


def _mean_of(numbers: list[int], sign: int) -> dict[int, fmpq]:
    """Factors of a mean of values; those of one loss, at one point, are all the same."""
    factors: dict[int, fmpq] = {}
    for number in numbers:
        factors[number] = factors.get(number, ZERO) + fmpq(sign, len(numbers))
    return factors


def _between(unknown: Unknowns, x_p: ndarray, p: int, x_q: ndarray, q: int) -> Condition:
    """The condition of smoothness, from p to q."""
    g_p, g_q = unknown.gradients[p], unknown.gradients[q]
    apart, change = x_p - x_q, g_p - g_q
    form = [(HALF, g_p + g_q, apart), (QUARTER, change, change), (-QUARTER, apart, apart)]
    return Condition(form, {q: ONE, p: fmpq(-1)})


def _without_unused(
    unknown: Unknowns,
    objective: Form,
    found: list[Condition],
    pairs: dict[tuple[int, int], int],
    initial_gap: int,
) -> Conditions:
    used = unknown.used

    def cut(form: Form) -> Form:
        return [(factor, u[:used], v[:used]) for factor, u, v in form]

    conditions = [Condition(cut(each.form), each.values, each.limit) for each in found]
    losses = [list(points.values()) for points in unknown.points]
    return Conditions(used, len(unknown.gradients), cut(objective), conditions, losses, pairs, initial_gap)


def matrices(conditions: Conditions) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """In floating point: forms (m, n, n), values (m, p), limits (m,), and the objective (n, n)."""
    forms = numpy.stack([_symmetric(each.form, conditions.dimension) for each in conditions.conditions])
    values = numpy.zeros((len(forms), conditions.values))
    for row, each in enumerate(conditions.conditions):
        for number, factor in each.values.items():
            values[row, number] = float(factor)
    limits = numpy.array([float(each.limit) for each in conditions.conditions])
    return forms, values, limits, _symmetric(conditions.objective, conditions.dimension)


def _symmetric(form: Form, dimension: int) -> ndarray:
    total = numpy.zeros((dimension, dimension))
    for factor, u, v in form:
        total += float(factor) * numpy.outer(u.astype(float), v.astype(float))
    return (total + total.T) / 2


def terms(conditions: Conditions) -> Iterator[tuple[int, fmpq, ndarray, ndarray]]:
    """All c <u, v> of all conditions, with the place of the condition."""
    for place, condition in enumerate(conditions.conditions):
        for factor, u, v in condition.form:
            yield place, factor, u, v
