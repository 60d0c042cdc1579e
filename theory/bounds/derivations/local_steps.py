"""A merge, then tau local steps: X <- Pi X, then tau times X <- X - alpha G(X).

Xi grows by local steps, at most linearly if alpha is of the order (1 - sqrt(rho)) / (L tau), and a merge
multiplies it by rho. Rounds go from merge to merge; K is a multiple of tau. The points of a round are those
at which gradients are taken, first what the merge gave. So Xi_0 is what the first merge, if there is one, has
left.
"""

from dataclasses import replace
from functools import partial

import sympy
from sympy import Expr, Integer

from dimat.methods.ld_sgd import LdSgd
from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.derivations.axioms import BELOW_1, NOISE, g, moves, n, x
from theory.bounds.derivations.facts import Axiom, Induction, Lemma, SquareOf, Summed
from theory.bounds.derivations.inequality import Inequality, Use
from theory.bounds.derivations.ranges import Range
from theory.bounds.derivations.shared import (
    LIMIT_OF_DESCENT,
    bound_of_gradients,
    corollaries,
    descent,
    spread_of_gradients,
)
from theory.bounds.derivations.symbols import (
    K,
    L,
    N,
    Xi,
    Xi_0,
    Xi_next,
    alpha,
    ended,
    gap_0,
    in_round,
    j,
    kappa,
    s,
    sigma,
    start,
    start_next,
    starts,
    starts_next,
    tau,
    total,
)
from theory.bounds.derivations.vectors import gram
from theory.bounds.settings import few, many

LIMIT = (1 - s) / (4 * L * tau)
SHARE = (1 - s) / (2 * tau)
"""1 - t of Young's inequality for a local step."""
LOSS = 3 * (1 - s) / (4 * tau)
"""A local step multiplies Xi by at most 1 / (1 - LOSS)."""
INFLOW = alpha**2 * (2 * kappa**2 / SHARE + sigma**2)
"""What a local step adds to Xi."""
GROWTH = 4 / (1 + 3 * s)
"""1 / (1 - tau LOSS): how much tau local steps multiply Xi by at most."""
RATE = s**2 * GROWTH
"""Factor of Xi from the start of a round to the start of the next."""
MEMORY = (1 + 3 * s) / ((1 - s) * (1 + 4 * s))
"""1 / (1 - RATE)."""
DRIFT = GROWTH * INFLOW * (tau - 1) / 2
"""What a mean over the steps of a round adds to what was there at its start."""
SPREADING = 1 + GROWTH * LOSS * (tau - 1) / 2
"""What such a mean multiplies Xi at the start by."""
STARTS = MEMORY * (Xi_0 + K / tau * s**2 * tau * GROWTH * INFLOW)
"""The bound on the sum of Xi over the K / tau starts of rounds."""
TOTAL = tau * SPREADING * STARTS + K * DRIFT
"""The bound on the sum of Xi_k over k < K."""

_per_inflow = L**2 * (SPREADING * MEMORY * s**2 * tau * GROWTH + GROWTH * (tau - 1) / 2)
STEP_SIZES = {"descent": LIMIT_OF_DESCENT, "drift": LIMIT}
TERMS = {
    "initial gap": 2 * gap_0 / (alpha * K),
    "noise": alpha * L * sigma**2 / N,
    "initial disagreement": SPREADING * MEMORY * L**2 * tau * Xi_0 / K,
    "heterogeneity": 4 * tau * alpha**2 * kappa**2 / (1 - s) * _per_inflow,
    "noise through disagreement": alpha**2 * sigma**2 * _per_inflow,
}

AT_LEAST_1 = Range(tau, ">=", Integer(1))


def after(steps: Expr) -> Expr:
    """The bound on Xi after ``steps`` local steps of a round."""
    return (1 + GROWTH * LOSS * steps) * start + GROWTH * INFLOW * steps


MERGED = Axiom("merge", "Pi - J contracts by s", start_next, s**2 * ended)
ROUNDS = Axiom(
    "sums of Xi over rounds", "they differ by the last and the first, Xi_0", starts - Xi_0, starts_next
)
OVER_A_ROUND = Induction(
    *("drift", "start of a round", "local steps of a round"),
    after(j),
    in_round,
    closed=j * start + (GROWTH * LOSS * start + GROWTH * INFLOW) * j * (j - 1) / 2,
)

STEPS = (
    descent(),
    Inequality(
        "local step",
        "Young's inequality with the parameter SHARE / (1 - SHARE), SHARE = (1 - s) / (2 tau)",
        Xi_next,
        Xi / (1 - SHARE) + alpha**2 * gram(g) / SHARE + alpha**2 * sigma**2,
        (
            Use(moves(x - g * alpha - n * alpha), Xi_next),
            Use(SquareOf(x * (SHARE / (1 - SHARE)) + g * alpha), gram(x, g)),
            Use(NOISE, gram(n)),
        ),
        (AT_LEAST_1, BELOW_1),
    ),
    spread_of_gradients(),
    Inequality(
        "drift",
        "the gradients' spread is put in",
        Xi_next,
        Xi / (1 - LOSS) + INFLOW,
        (Use(Lemma("local step"), Xi_next), Use(Lemma("spread of gradients"), gram(g))),
        (Range(alpha, "<=", LIMIT), AT_LEAST_1, BELOW_1),
    ),
    Inequality("start of a round", "no local step", start, after(Integer(0)), (), (BELOW_1,)),
    Inequality(
        "local steps of a round",
        "drift after j local steps, and what is claimed of j + 1",
        after(j) / (1 - LOSS) + INFLOW,
        after(j + 1),
        (),
        (Range(tau, ">=", j + 1), BELOW_1),
    ),
    Inequality(
        "sum over a round",
        "by induction",
        in_round,
        tau * (SPREADING * start + DRIFT),
        (Use(OVER_A_ROUND, in_round),),
        (AT_LEAST_1, BELOW_1),
    ),
    Inequality(
        "merge",
        "of what the last local step has made",
        start_next,
        RATE * start + s**2 * tau * GROWTH * INFLOW,
        (Use(MERGED, start_next), Use(replace(OVER_A_ROUND, of=ended, at=tau), ended)),
        (AT_LEAST_1, BELOW_1),
    ),
    Inequality(
        "sum over starts of rounds",
        "merge, summed over the K / tau rounds",
        starts,
        STARTS,
        (Use(ROUNDS, Xi_0), Use(Summed("merge", times=K / tau), starts_next)),
        (AT_LEAST_1, BELOW_1),
    ),
    Inequality(
        "sum of disagreements",
        "sum over a round, summed over rounds",
        total,
        TOTAL,
        (
            Use(Summed("sum over a round", times=K / tau), total),
            Use(Lemma("sum over starts of rounds"), starts),
        ),
        (AT_LEAST_1, BELOW_1),
    ),
    bound_of_gradients(TERMS, AT_LEAST_1, BELOW_1),
    *corollaries(
        TERMS,
        (2 * gap_0 + L * sigma**2) / sympy.sqrt(N * K)
        + N
        / K
        * (
            SPREADING * MEMORY * L**2 * tau * Xi_0 / N
            + (4 * tau * kappa**2 / (1 - s) + sigma**2) * _per_inflow
        ),
        STEP_SIZES,
        AT_LEAST_1,
        BELOW_1,
    ),
)

LOCAL_STEPS = AuditedBound(
    key="local_steps",
    title="a merge, then tau local steps",
    method="wa, and dimat with consistent permutations, with SGD: X <- Pi X, then tau times "
    "X <- X - alpha G(X); "
    "ld_sgd with gossip_steps 1 and local_steps tau - 1",
    source="schedule of Koloskova et al. 2020, Algorithm 1; constants derived here",
    setting="merges every tau steps, by the same Pi",
    measures="the points X at which gradients are taken: after a merge, and after local steps but the last",
    excludes="momentum; merges that move neurons, unless their permutations are consistent",
    steps=STEPS,
    terms=TERMS,
    disagreement=TOTAL / K,
    step_sizes=STEP_SIZES,
    rule=lambda step_size, local_steps: LdSgd(
        learning_rate=step_size, local_steps=local_steps - 1, gossip_steps=1
    ),
    local_steps=5,
    quick=partial(few, "local_steps", ("quadratic", "separable"), local_steps=5),
    full=partial(many, "local_steps", ("quadratic", "separable", "logistic"), local_steps=(2, 4, 16)),
)
