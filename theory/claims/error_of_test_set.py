"""How far a difference of shares of right answers may be off because the test set is finite.

All seeds are judged on the same examples, so differences over seeds say nothing of it.
"""

import numpy
from numpy import ndarray


def variance_bound(ours: ndarray, theirs: ndarray, examples: int) -> float:
    """An upper bound of the variance, over test sets, of the mean of ``ours`` - ``theirs``: shares (n,).

    On one example let s and t be the means over agents of what is right, from 0 to 1; their means over
    examples are a and b. As |s - t| <= 1, E (s - t)^2 <= E |s - t|, which is at most 1; at most
    E (s + t) = a + b; and at most E ((1 - s) + (1 - t)) = 2 - a - b. So for m independent examples the
    variance of the difference is at most (min(1, a + b, 2 - a - b) - (a - b)^2) / m. Over n seeds, which
    share the examples, the variance of the mean is at most the mean of the variances. Measured shares stand
    for the true ones.
    """
    apart = numpy.minimum(1.0, numpy.minimum(ours + theirs, 2 - ours - theirs))
    return float((apart - (ours - theirs) ** 2).mean() / examples)
