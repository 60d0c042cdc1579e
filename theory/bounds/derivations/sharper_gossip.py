"""Merging at every step, combine then adapt: X <- Pi X - alpha G(X), with sharper constants.

A step contracts, but for how losses differ, by q = s + alpha L: all step sizes with q < 1 are admissible.
"""

from sympy import Integer

from theory.bounds.derivations.axioms import (
    BELOW_1,
    HETEROGENEITY,
    MERGE,
    NOISE,
    SMOOTH_OFF_MEAN,
    a,
    e,
    k,
    moves,
    n,
)
from theory.bounds.derivations.facts import SquareOf
from theory.bounds.derivations.gossip import GOSSIP, LIMIT
from theory.bounds.derivations.inequality import Inequality, Use
from theory.bounds.derivations.ranges import Range
from theory.bounds.derivations.shared import LIMIT_OF_DESCENT, sum_of_disagreements
from theory.bounds.derivations.sharper import sharpened, sharper_bound, sharper_descent, sharper_terms
from theory.bounds.derivations.symbols import K, L, N, Xi, Xi_0, Xi_next, alpha, c, kappa, s, sigma
from theory.bounds.derivations.vectors import gram

q = s + alpha * L
LIMIT_OF_CONTRACTION = (1 - s) / L
SMALL_STEP = Range(alpha, "<", LIMIT_OF_CONTRACTION)
PARTS = {
    "initial disagreement": Xi_0 / ((1 - q) * K),
    "heterogeneity": alpha**2 * kappa**2 / (1 - q) ** 2,
    "noise through disagreement": alpha**2 * sigma**2 * (1 - 1 / N) / (1 - q),
}
"""They add up to the bound on the mean of Xi_k over k < K."""
TERMS = sharper_terms(PARTS)
STEPS = (
    sharper_descent(),
    Inequality(
        "consensus",
        "what is left of x and e grow together, as both may point the same way; Young's inequality with the "
        "parameter 1 / q - 1 takes k apart from both",
        Xi_next,
        q * Xi + alpha**2 * kappa**2 / (1 - q) + alpha**2 * sigma**2 * (1 - 1 / N),
        (
            Use(moves(a * s - (e + k) * alpha - n * alpha), Xi_next),
            Use(SquareOf((a * s - e * alpha) * ((1 - q) / q) + k * alpha), gram(a, k)),
            Use(SquareOf(a * L + e), gram(a, e)),
            Use(MERGE, gram(a)),
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
        "never a larger disagreement",
        "where the classical bound has a say",
        sum(PARTS.values(), start=Integer(0)),
        GOSSIP.disagreement or Integer(0),
        (),
        (Range(alpha, "<=", LIMIT), BELOW_1),
    ),
    Inequality(
        "never a larger gradient",
        "where the classical bound has a say, with c = 1",
        sum((term.subs(c, 1) for term in TERMS.values()), start=Integer(0)),
        sum(GOSSIP.terms.values(), start=Integer(0)),
        (),
        (Range(alpha, "<=", LIMIT), BELOW_1),
    ),
)

SHARPER_GOSSIP = sharpened(
    GOSSIP,
    STEPS,
    TERMS,
    PARTS,
    step_sizes={"descent": LIMIT_OF_DESCENT, "contraction": LIMIT_OF_CONTRACTION},
    excluded=("contraction",),
    comparison=NEVER_WORSE,
)
