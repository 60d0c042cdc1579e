"""Upper ends of worst cases, proved by weak duality in exact arithmetic.

Multipliers l >= 0 of the conditions form + values <= limit are a proof that the objective is at most the sum
of l limit, if (i) the values' factors cancel in the sum of l (form + values), and (ii) that sum less the
objective is a positive definite form. Both are checked in rational numbers; how the multipliers were found
does not matter.
"""

from collections.abc import Sequence

from flint import fmpq, fmpq_mat, fmpz

from theory.worst_case.case import ZERO
from theory.worst_case.conditions import Conditions, terms


class NotCertified(RuntimeError):
    """Exact arithmetic does not confirm what was claimed."""


def upper_end(conditions: Conditions, multipliers: Sequence[fmpq]) -> fmpq:
    """What the objective is at most; `NotCertified` if the multipliers do not prove it."""
    if min(multipliers) < 0:
        raise NotCertified("a multiplier is negative")
    if any(residuals(conditions, multipliers)):
        raise NotCertified("the values of losses do not cancel")
    if not positive_definite(slack_matrix(conditions, multipliers)):
        raise NotCertified("the slack matrix is not positive definite")
    pairs = zip(multipliers, conditions.conditions, strict=True)
    return sum((multiplier * each.limit for multiplier, each in pairs), ZERO)


def residuals(conditions: Conditions, multipliers: Sequence[fmpq]) -> list[fmpq]:
    """What is left of each value in the sum of all conditions, times their multipliers."""
    if len(multipliers) != len(conditions.conditions):
        raise NotCertified("there is not a multiplier for each condition")
    left = [ZERO] * conditions.values
    for multiplier, condition in zip(multipliers, conditions.conditions, strict=True):
        if multiplier:
            for number, factor in condition.values.items():
                left[number] += multiplier * factor
    return left


def repaired(conditions: Conditions, multipliers: Sequence[fmpq]) -> list[fmpq]:
    """Nearby multipliers whose values cancel exactly; none becomes smaller but that of the initial gap.

    That one becomes the sum of those of f >= f*, so that each loss's residuals add up to 0. Between two
    values of one loss there are conditions in both directions: one of them can take up either sign.
    """
    found = [max(multiplier, ZERO) for multiplier in multipliers]
    found[conditions.initial_gap] = ZERO
    found[conditions.initial_gap] = -sum(residuals(conditions, found), ZERO)
    left = residuals(conditions, found)
    for root, *others in conditions.losses:
        for number in others:
            pair = (number, root) if left[number] > 0 else (root, number)
            found[conditions.pairs[pair]] += abs(left[number])
    return found


def slack_matrix(conditions: Conditions, multipliers: Sequence[fmpq]) -> fmpq_mat:
    """The sum of multiplier times form, less the objective (n, n), exactly."""
    weighted = [(multipliers[place] * factor, u, v) for place, factor, u, v in terms(conditions)]
    weighted += [(-factor, u, v) for factor, u, v in conditions.objective]
    weighted = [each for each in weighted if each[0]]
    left = fmpq_mat([[factor * entry / 2 for entry in u] for factor, u, _ in weighted])
    right = fmpq_mat([list(v) for _, _, v in weighted])
    product = left.transpose() * right
    return product + product.transpose()


def positive_definite(matrix: fmpq_mat) -> bool:
    """Whether a symmetric matrix is, by exact pivots: elimination without fractions (Bareiss 1968).

    The pivots are the leading principal minors of the matrix, times its common denominator.
    """
    whole, _ = matrix.numer_denom()
    rows = [[whole[i, j] for j in range(whole.ncols())] for i in range(whole.nrows())]
    before = fmpz(1)
    for place, pivot_row in enumerate(rows):
        pivot = pivot_row[place]
        if pivot <= 0:
            return False
        for row in rows[place + 1 :]:
            factor = row[place]
            for column in range(place + 1, len(row)):
                row[column] = (pivot * row[column] - factor * pivot_row[column]) // before
        before = pivot
    return True
