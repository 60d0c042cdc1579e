"""Merging at every step, adapt then combine: X <- Pi (X - alpha G(X)).

The merge contracts the gradients' spread and the noise, too: with s = 0 agents never disagree.
"""

from functools import partial

from dimat.methods.dpsgd import Dpsgd
from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.derivations.inequality import Inequality, at_most
from theory.bounds.derivations.shared import (
    BELOW_1,
    LIMIT_OF_DESCENT,
    SPREAD,
    contraction,
    steps_of,
)
from theory.bounds.derivations.symbols import K, L, N, Xi, Xi_0, alpha, gap_0, kappa, s, sigma, spread
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
TERMS = {
    "initial gap": 2 * gap_0 / (alpha * K),
    "noise": alpha * L * sigma**2 / N,
    "initial disagreement": MEMORY * L**2 * Xi_0 / K,
    "heterogeneity": 2 * MEMORY * alpha**2 * s**2 * L**2 * kappa**2 / (1 - s),
    "noise through disagreement": MEMORY * alpha**2 * s**2 * L**2 * sigma**2,
}
CONTRACTION = contraction(s**2 * spread)
CONSENSUS = Inequality(
    "consensus",
    "contraction; noise is unbiased with variance at most sigma^2 before the merge, which contracts it",
    CONTRACTION.right + s**2 * alpha**2 * sigma**2,
    RATE * Xi + INFLOW,
    (SPREAD, at_most(alpha, LIMIT, "alpha <= (1 - sqrt(rho)) / ((1 + sqrt(rho)) L)"), BELOW_1),
)

ADAPT_THEN_COMBINE = AuditedBound(
    key="adapt_then_combine",
    title="merging at every step, adapt then combine",
    method="dpsgd without momentum: X <- Pi (X - alpha G(X)); after its first merge, wa with one local step",
    source="after Lian et al. 2017 and Koloskova et al. 2020; constants derived here",
    setting="a merge of what each gradient step gave",
    measures="the points X at which gradients are taken, after each merge",
    excludes="momentum; merges that move neurons, unless their permutations are consistent",
    steps=steps_of(CONTRACTION, CONSENSUS, RATE, INFLOW, TOTAL, TERMS),
    terms=TERMS,
    disagreement=TOTAL / K,
    step_sizes={"descent": LIMIT_OF_DESCENT, "consensus": LIMIT},
    rule=lambda step_size, local_steps: Dpsgd(learning_rate=step_size),
    quick=partial(few, "adapt_then_combine", ("quadratic", "separable")),
    full=partial(many, "adapt_then_combine", ("quadratic", "separable", "logistic")),
)
