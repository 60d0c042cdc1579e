"""Means over seeds, and intervals of means of paired differences, as text."""

from typing import Any

import numpy
import pandas
from scipy import stats

from dimat.tasks.task import Metric
from paper.metrics import number_form
from theory.claims.holm import LEVEL


def spread(values: pandas.Series, metric: Metric) -> str:
    """Mean and sample standard deviation of values of a metric."""
    values = values.dropna()
    if values.empty:
        return ""
    form = number_form(metric)
    return f"{values.mean():{form}}" + (f" ± {values.std(ddof=1):{form}}" if len(values) > 1 else "")


def of_powers(powers: pandas.Series | numpy.ndarray) -> str:
    """The geometric mean of 10 to the ``powers``, and its t-interval if there are several."""
    found = numpy.asarray(powers, float)
    mean, half = found.mean(), half_width(found)
    interval = f" [{10 ** (mean - half):.2g}, {10 ** (mean + half):.2g}]" if len(found) > 1 else ""
    return f"{10**mean:.2g}{interval}"


def paired(differences: pandas.Series, metric: Metric, risk: float = LEVEL) -> str:
    """Mean and two-sided t-interval of a metric's paired differences; misses with probability ``risk``."""
    found = differences.dropna().to_numpy()
    if not len(found):
        return ""
    mean, half, form = found.mean(), half_width(found, risk), number_form(metric, "+")
    return f"{mean:{form}}" + (f" [{mean - half:{form}}, {mean + half:{form}}]" if len(found) > 1 else "")


def starred(differences: pandas.Series, metric: Metric) -> str:
    """`paired`, with a star if the interval does not contain 0."""
    found = differences.dropna().to_numpy()
    star = " *" if len(found) > 1 and abs(found.mean()) > half_width(found) else ""
    return paired(differences, metric) + star


def half_width(differences: numpy.ndarray, risk: float = LEVEL) -> float:
    """Half the width of the interval; not a number for one difference."""
    count = len(differences)
    if count < 2:
        return float("nan")
    return float(half_widths(differences.std(ddof=1), count, risk))


def half_widths(deviations: Any, counts: Any, risk: float = LEVEL) -> Any:
    """Half the widths of t-intervals of means of ``counts`` values with sample standard ``deviations``.

    They miss with probability ``risk``. Where there is one value there is no interval, and not a number.
    """
    counts = numpy.asarray(counts, float)
    free = numpy.where(counts > 1, counts - 1, numpy.nan)
    return stats.t.ppf(1 - risk / 2, free) * deviations / counts**0.5
