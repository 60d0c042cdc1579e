"""Intervals of means of paired differences."""

import numpy
from scipy import stats


def interval(differences: numpy.ndarray) -> str:
    """Mean and two-sided 95 % t-interval of paired differences."""
    mean, count = differences.mean(), len(differences)
    if count < 2:
        return f"{mean:+.1f}"
    half = stats.t.ppf(0.975, count - 1) * differences.std(ddof=1) / count**0.5
    return f"{mean:+.1f} [{mean - half:+.1f}, {mean + half:+.1f}]"


def starred(differences: numpy.ndarray) -> str:
    """`interval`, with a star if it does not contain 0."""
    text = interval(differences)
    if "[" not in text:
        return text
    low, high = (float(end) for end in text[text.index("[") + 1 : -1].split(","))
    return text + (" *" if low > 0 or high < 0 else "")
