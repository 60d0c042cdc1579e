"""Merging at every step, combine then adapt: X <- Pi X - alpha G(X)."""

from collections.abc import Iterator
from functools import partial
from itertools import product

import sympy

from dimat.methods.cdsgd import Cdsgd
from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.derivations.axioms import BELOW_1, MERGE, NOISE, a, g, moves, n
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
from theory.bounds.settings import Setting, many
from theory.gap.graphs import OTHERS, PUBLISHED

LIMIT = (1 - s) / (2 * L)
RATE = (1 + s) / 2
"""Factor of Xi in one step's consensus recursion."""
INFLOW = alpha**2 * (2 * kappa**2 / (1 - s) + sigma**2)
"""What one step adds to Xi."""
TOTAL = (2 / (1 - s)) * (Xi_0 + K * INFLOW)
"""The bound on the sum of Xi_k over k < K."""
STEP_SIZES = {"descent": LIMIT_OF_DESCENT, "consensus": LIMIT}
TERMS = {
    "initial gap": 2 * gap_0 / (alpha * K),
    "noise": alpha * L * sigma**2 / N,
    "initial disagreement": 2 * L**2 * Xi_0 / ((1 - s) * K),
    "heterogeneity": 4 * alpha**2 * L**2 * kappa**2 / (1 - s) ** 2,
    "noise through disagreement": 2 * alpha**2 * L**2 * sigma**2 / (1 - s),
}
CONTRACTION = Inequality(
    "contraction",
    "Young's inequality with the parameter 1 / s - 1",
    Xi_next,
    s * Xi + alpha**2 * gram(g) / (1 - s) + alpha**2 * sigma**2,
    (
        Use(moves(a * s - g * alpha - n * alpha), Xi_next),
        Use(SquareOf(a * (1 - s) + g * alpha), gram(a, g)),
        Use(MERGE, gram(a)),
        Use(NOISE, gram(n)),
    ),
    (BELOW_1,),
)
CONSENSUS = consensus("contraction", RATE, INFLOW, Range(alpha, "<=", LIMIT), BELOW_1)
RATE_AT_SPEED_UP = (2 * gap_0 + L * sigma**2) / sympy.sqrt(N * K) + N / K * (2 * L**2 / (1 - s)) * (
    Xi_0 / N + 2 * kappa**2 / (1 - s) + sigma**2
)


def quick_settings() -> Iterator[Setting]:
    """Every graph, and each kind of problem."""
    for graph, agents in product(PUBLISHED, (4, 8, 16)):
        for fraction, steps in product((1.0, 0.1), (20, 1000)):
            yield Setting("gossip", "quadratic", graph, agents, fraction, steps)
    for fraction in (1.0, 0.1):
        for graph in OTHERS:
            yield Setting("gossip", "quadratic", graph, 8, fraction, 1000)
        for graph in (*PUBLISHED, *OTHERS):
            yield Setting("gossip", "separable", graph, 8, fraction, 1000)
            yield Setting("gossip", "logistic", graph, 8, fraction, 200)


GOSSIP = AuditedBound(
    key="gossip",
    title="merging at every step, combine then adapt",
    method="cdsgd without momentum: X <- Pi X - alpha G(X)",
    source="after Lian et al. 2017 and Koloskova et al. 2020; constants derived here",
    setting="gradients at the points before the merge",
    measures="the points X at which gradients are taken, before each merge",
    excludes="momentum; merges that move neurons, unless their permutations are consistent",
    steps=(
        *recursion_steps(CONTRACTION, CONSENSUS, TOTAL, TERMS),
        *corollaries(TERMS, RATE_AT_SPEED_UP, STEP_SIZES, BELOW_1),
    ),
    terms=TERMS,
    disagreement=TOTAL / K,
    step_sizes=STEP_SIZES,
    rule=lambda step_size, local_steps: Cdsgd(learning_rate=step_size),
    quick=quick_settings,
    full=partial(many, "gossip", ("quadratic", "separable", "logistic")),
)
