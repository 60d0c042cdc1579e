"""Merging at every step, adapt then combine: X <- Pi (X - alpha G(X)), with sharper constants.

The factor of a step is q = s (1 + alpha L), below 1 for step sizes up to (1 - s) / L: then 1 - q is at least
(1 - s)^2.
"""

from sympy import Integer

from theory.bounds.derivations.adapt_then_combine import ADAPT_THEN_COMBINE, LIMIT
from theory.bounds.derivations.axioms import (
    BELOW_1,
    HETEROGENEITY,
    NOISE,
    SMOOTH_OFF_MEAN,
    combines,
    e,
    k,
    n,
    x,
)
from theory.bounds.derivations.facts import SquareOf
from theory.bounds.derivations.inequality import Inequality, Use
from theory.bounds.derivations.ranges import Range
from theory.bounds.derivations.shared import LIMIT_OF_DESCENT, sum_of_disagreements
from theory.bounds.derivations.sharper import sharpened, sharper_bound, sharper_descent, sharper_terms
from theory.bounds.derivations.symbols import K, L, N, Xi, Xi_0, Xi_next, alpha, c, kappa, s, sigma
from theory.bounds.derivations.vectors import gram

GROWTH = 1 + alpha * L
"""What a step may multiply distances by, before the merge and but for k."""
q = s * GROWTH
LIMIT_OF_CONTRACTION = (1 - s) / L
SMALL_STEP = Range(alpha, "<=", LIMIT_OF_CONTRACTION)
PARTS = {
    "initial disagreement": Xi_0 / ((1 - q) * K),
    "heterogeneity": alpha**2 * s**2 * kappa**2 / (1 - q) ** 2,
    "noise through disagreement": alpha**2 * s**2 * sigma**2 * (1 - 1 / N) / (1 - q),
}
"""They add up to the bound on the mean of Xi_k over k < K."""
TERMS = sharper_terms(PARTS)
STEPS = (
    sharper_descent(),
    Inequality(
        "consensus",
        "x and e grow together, as both may point the same way; Young's inequality with the parameter "
        "1 / q - 1 takes k apart from both",
        Xi_next,
        q * Xi + alpha**2 * s**2 * kappa**2 / (1 - q) + alpha**2 * s**2 * sigma**2 * (1 - 1 / N),
        (
            Use(combines(x - (e + k) * alpha - n * alpha), Xi_next),
            Use(SquareOf((x - e * alpha) * ((1 - q) / GROWTH) + k * (s * alpha)), gram(x, k)),
            Use(SquareOf(x * L + e), gram(x, e)),
            Use(SMOOTH_OFF_MEAN, gram(e)),
            Use(HETEROGENEITY, gram(k)),
            Use(NOISE, gram(n)),
        ),
        (SMALL_STEP, BELOW_1),
    ),
    sum_of_disagreements(K * sum(PARTS.values(), start=Integer(0)), SMALL_STEP, BELOW_1),
    sharper_bound(TERMS, SMALL_STEP, BELOW_1),
)
NEVER_WORSE = (
    Inequality(
        "never a larger term of heterogeneity",
        "where the classical bound has a say, with c = 1",
        TERMS["heterogeneity"].subs(c, 1),
        ADAPT_THEN_COMBINE.terms["heterogeneity"],
        (),
        (Range(alpha, "<=", LIMIT), BELOW_1),
    ),
)

SHARPER_ADAPT_THEN_COMBINE = sharpened(
    ADAPT_THEN_COMBINE,
    STEPS,
    TERMS,
    PARTS,
    step_sizes={"descent": LIMIT_OF_DESCENT, "contraction": LIMIT_OF_CONTRACTION},
    comparison=NEVER_WORSE,
)
