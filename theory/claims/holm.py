"""Holm's correction of several p-values (Holm 1979, A simple sequentially rejective multiple test procedure).

Of a family of true null hypotheses, none is rejected but with a probability of at most `LEVEL`, however the
tests depend on each other. (`scipy.stats.false_discovery_control` bounds the share of false ones among those
that are rejected, which is less.)
"""

import numpy
from numpy import ndarray
from scipy import stats

LEVEL = 0.05


def holm(p: ndarray) -> ndarray:
    """Adjusted p-values (m,): those up to `LEVEL` are rejected. The k-th smallest counts m - k + 1 fold."""
    order = numpy.argsort(p)
    steps = p[order] * numpy.arange(len(p), 0, -1)
    adjusted = numpy.empty_like(steps)
    adjusted[order] = numpy.minimum(1.0, numpy.maximum.accumulate(steps))
    return adjusted


def risks(p: ndarray) -> ndarray:
    """The level (m,) of each test: that of its step, or of the step that rejects no more.

    So an interval of level 1 - risk leaves out the null hypothesis just where this is rejected. Such
    intervals are those of the tests: of several sizes, they do not hold all at once with 95 %.
    """
    ranks = stats.rankdata(p, "min")
    last = ranks[holm(p) > LEVEL].min(initial=len(p))
    return LEVEL / (len(p) - numpy.minimum(ranks, last) + 1)
