"""Merging at every step, adapt then combine: X <- Pi (X - alpha G(X)).

The merge contracts the gradients' spread and the noise, too: with s = 0 agents never disagree.
"""

from functools import partial

import sympy

from dimat.methods.dpsgd import Dpsgd
from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.derivations.axioms import BELOW_1, NOISE, combines, g, n, x
from theory.bounds.derivations.facts import SquareOf
from theory.bounds.derivations.inequality import Inequality, Use
from theory.bounds.derivations.ranges import Range
from theory.bounds.derivations.shared import (
    LIMIT_OF_DESCENT,
    consensus,
    corollaries,
    recursion_steps,
)
from theory.bounds.derivations.symbols import K, L, N, Xi, Xi_0, Xi_next, alpha, gap_0, kappa, s, sigma
from theory.bounds.derivations.vectors import gram
from theory.bounds.settings import few, many

LIMIT = (1 - s) / ((1 + s) * L)
"""At most (1 - s) / (2 L s), and finite for s = 0."""
RATE = s + 2 * s**2 * (1 - s) / (1 + s) ** 2
"""Factor of Xi in one step's consensus recursion."""
MEMORY = (1 + s) ** 2 / ((1 - s) * (1 + 2 * s - s**2))
"""1 / (1 - RATE), between 1 / (1 - s) and 2 / (1 - s)."""
INFLOW = alpha**2 * s**2 * (2 * kappa**2 / (1 - s) + sigma**2)
"""What one step adds to Xi."""
TOTAL = MEMORY * (Xi_0 + K * INFLOW)
"""The bound on the sum of Xi_k over k < K."""
STEP_SIZES = {"descent": LIMIT_OF_DESCENT, "consensus": LIMIT}
TERMS = {
    "initial gap": 2 * gap_0 / (alpha * K),
    "noise": alpha * L * sigma**2 / N,
    "initial disagreement": MEMORY * L**2 * Xi_0 / K,
    "heterogeneity": 2 * MEMORY * alpha**2 * s**2 * L**2 * kappa**2 / (1 - s),
    "noise through disagreement": MEMORY * alpha**2 * s**2 * L**2 * sigma**2,
}
CONTRACTION = Inequality(
    "contraction",
    "Young's inequality with the parameter 1 / s - 1",
    Xi_next,
    s * Xi + alpha**2 * s**2 * gram(g) / (1 - s) + alpha**2 * s**2 * sigma**2,
    (
        Use(combines(x - g * alpha - n * alpha), Xi_next),
        Use(SquareOf(x * (1 - s) + g * (s * alpha)), gram(x, g)),
        Use(NOISE, gram(n)),
    ),
    (BELOW_1,),
)
CONSENSUS = consensus("contraction", RATE, INFLOW, Range(alpha, "<=", LIMIT), BELOW_1)
RATE_AT_SPEED_UP = (2 * gap_0 + L * sigma**2) / sympy.sqrt(N * K) + N / K * MEMORY * L**2 * (
    Xi_0 / N + 2 * s**2 * kappa**2 / (1 - s) + s**2 * sigma**2
)

ADAPT_THEN_COMBINE = AuditedBound(
    key="adapt_then_combine",
    title="merging at every step, adapt then combine",
    method="dpsgd without momentum: X <- Pi (X - alpha G(X)); after its first merge, wa with one local step",
    source="after Lian et al. 2017 and Koloskova et al. 2020; constants derived here",
    setting="a merge of what each gradient step gave",
    measures="the points X at which gradients are taken, after each merge",
    excludes="momentum; merges that move neurons, unless their permutations are consistent",
    steps=(
        *recursion_steps(CONTRACTION, CONSENSUS, TOTAL, TERMS),
        *corollaries(TERMS, RATE_AT_SPEED_UP, STEP_SIZES, BELOW_1),
    ),
    terms=TERMS,
    disagreement=TOTAL / K,
    step_sizes=STEP_SIZES,
    rule=lambda step_size, local_steps: Dpsgd(learning_rate=step_size),
    quick=partial(few, "adapt_then_combine", ("quadratic", "separable")),
    full=partial(many, "adapt_then_combine", ("quadratic", "separable", "logistic")),
)
