"""Merging at every step, combine then adapt: X <- Pi X - alpha G(X)."""

from collections.abc import Iterator
from functools import partial
from itertools import product

from dimat.methods.cdsgd import Cdsgd
from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.derivations.inequality import Inequality, at_most
from theory.bounds.derivations.shared import (
    BELOW_1,
    LIMIT_OF_DESCENT,
    SPREAD,
    contraction,
    steps_of,
)
from theory.bounds.derivations.symbols import K, L, N, Xi, Xi_0, alpha, gap_0, kappa, s, sigma
from theory.bounds.settings import Setting, many
from theory.gap.graphs import OTHERS, PUBLISHED

LIMIT = (1 - s) / (2 * L)
RATE = (1 + s) / 2
"""Factor of Xi in one step's consensus recursion."""
INFLOW = alpha**2 * (2 * kappa**2 / (1 - s) + sigma**2)
"""What one step adds to Xi."""
TOTAL = (2 / (1 - s)) * (Xi_0 + K * INFLOW)
"""The bound on the sum of Xi_k over k < K."""
TERMS = {
    "initial gap": 2 * gap_0 / (alpha * K),
    "noise": alpha * L * sigma**2 / N,
    "initial disagreement": 2 * L**2 * Xi_0 / ((1 - s) * K),
    "heterogeneity": 4 * alpha**2 * L**2 * kappa**2 / (1 - s) ** 2,
    "noise through disagreement": 2 * alpha**2 * L**2 * sigma**2 / (1 - s),
}
CONTRACTION = contraction()
CONSENSUS = Inequality(
    "consensus",
    "contraction; noise is unbiased with variance at most sigma^2",
    CONTRACTION.right + alpha**2 * sigma**2,
    RATE * Xi + INFLOW,
    (SPREAD, at_most(alpha, LIMIT, "alpha <= (1 - sqrt(rho)) / (2 L)"), BELOW_1),
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
    steps=steps_of(CONTRACTION, CONSENSUS, RATE, INFLOW, TOTAL, TERMS),
    terms=TERMS,
    disagreement=TOTAL / K,
    step_sizes={"descent": LIMIT_OF_DESCENT, "consensus": LIMIT},
    rule=lambda step_size, local_steps: Cdsgd(learning_rate=step_size),
    quick=quick_settings,
    full=partial(many, "gossip", ("quadratic", "separable", "logistic")),
)
