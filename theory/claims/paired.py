"""Differences of two methods, paired by seed: p-values, corrected for their number, and intervals.

Two runs of one seed share the data, the deal and the networks that they start from. Their difference is free
of what these do to both, seeds are independent, and each number is a mean over agents and test examples: so
the t-test with n - 1 degrees of freedom is taken, which is exact for normal differences, however few.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy
from numpy import ndarray
from scipy import stats
from typing_extensions import override

from theory.bounds.rates import t_interval
from theory.claims.holm import holm, risks
from theory.claims.primary import SEEDS
from theory.rows import Row


@dataclass(frozen=True)
class PairedRow(Row):
    """A mean difference over seeds against 0: the interval is that of Holm's test at 5 % in its family.

    A family is what is asked at once: the primary rows of one check, so of one claim, in one study, over all
    settings; the secondary ones are another. So the probability that chance alone decides the claim, in any
    setting, is at most 5 %. Claims are separate questions, each with its verdict.
    """

    differences: tuple[float, ...] = ()
    """By seed."""
    variance_of_test_set: float | None = None
    """What the finite test set adds to the variance of the mean, at most; `None` where it is not known."""
    primary: bool = False
    """Whether it decides the claim."""
    p: float = 1.0
    """Of the two-sided t-test."""
    p_holm: float = 1.0
    """Adjusted."""
    risk: float = 1.0
    """Of missing the mean, of the interval."""

    @property
    def comparison(self) -> str:
        """Its rank in a word."""
        return "primary" if self.primary else "secondary"

    @property
    @override
    def holds(self) -> bool:
        return self._enough and super().holds

    @property
    @override
    def violated(self) -> bool:
        return self._enough and super().violated

    @property
    @override
    def verdict(self) -> str:
        few = "" if self._enough else f": {self.seeds} seeds, {SEEDS} wanted"
        return super().verdict + few

    @property
    def _enough(self) -> bool:
        return len(self.differences) >= SEEDS

    @property
    def low_with_test_error(self) -> float | None:
        """The low end of the interval if the error of the test set counts, too."""
        return None if self._with_test_error is None else self._with_test_error.low

    @property
    def high_with_test_error(self) -> float | None:
        """The high end of this interval."""
        return None if self._with_test_error is None else self._with_test_error.high

    @property
    def with_test_error(self) -> str | None:
        """The verdict by this interval."""
        return None if self._with_test_error is None else self._with_test_error.verdict

    @property
    def _with_test_error(self) -> "PairedRow | None":
        if self.variance_of_test_set is None:
            return None
        _, low, high = t_interval(numpy.array(self.differences), self.risk, self.variance_of_test_set)
        return replace(self, low=low, high=high, variance_of_test_set=None)


def corrected(rows: Iterable[PairedRow]) -> Iterator[PairedRow]:
    """The same rows with p-values and intervals, family by family."""
    families: dict[tuple[str, bool], list[PairedRow]] = {}
    for row in rows:
        families.setdefault((row.check, row.primary), []).append(row)
    for family in families.values():
        p = numpy.array([p_value(numpy.array(row.differences)) for row in family])
        for row, *numbers in zip(family, p.tolist(), holm(p).tolist(), risks(p).tolist(), strict=True):
            _, low, high = t_interval(numpy.array(row.differences), numbers[-1])
            yield replace(row, low=low, high=high, p=numbers[0], p_holm=numbers[1], risk=numbers[2])


def p_value(differences: ndarray) -> float:
    """Of the two-sided t-test that the mean of two or more differences is 0."""
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    if deviation == 0:
        return float(mean == 0)
    count = len(differences)
    return float(2 * stats.t.sf(abs(mean) / deviation * count**0.5, count - 1))
