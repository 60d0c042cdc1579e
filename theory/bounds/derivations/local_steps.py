"""A merge, then tau local steps: X <- Pi X, then tau times X <- X - alpha G(X).

Xi grows by local steps, at most linearly if alpha is of the order (1 - sqrt(rho)) / (L tau), and a merge
multiplies it by rho. Rounds go from merge to merge; K is a multiple of tau. The points of a round are those
at which gradients are taken, first what the merge gave. So Xi_0 is what the first merge, if there is one, has
left.
"""

from functools import partial

import sympy
from sympy import Integer, Symbol

from dimat.methods.ld_sgd import LdSgd
from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.derivations.inequality import Assumption, Inequality, at_most, slack
from theory.bounds.derivations.shared import (
    BELOW_1,
    LIMIT_OF_DESCENT,
    SPREAD,
    bound_of_gradients,
    descent,
    spread_of_gradients,
    young,
)
from theory.bounds.derivations.symbols import (
    K,
    L,
    N,
    Xi,
    Xi_0,
    alpha,
    gap_0,
    kappa,
    s,
    sigma,
    spread,
    tau,
    total,
)
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
TERMS = {
    "initial gap": 2 * gap_0 / (alpha * K),
    "noise": alpha * L * sigma**2 / N,
    "initial disagreement": SPREADING * MEMORY * L**2 * tau * Xi_0 / K,
    "heterogeneity": 4 * tau * alpha**2 * kappa**2 / (1 - s) * _per_inflow,
    "noise through disagreement": alpha**2 * sigma**2 * _per_inflow,
}

j = Symbol("j", nonnegative=True)
MORE_THAN_J = Assumption("j + 1 <= tau", tau, j + 1 + slack(tau))
AT_LEAST_1 = Assumption("tau >= 1", tau, 1 + slack(tau))


def after(steps: sympy.Expr) -> sympy.Expr:
    """The bound on Xi after ``steps`` local steps of a round that starts with Xi."""
    return (1 + GROWTH * LOSS * steps) * Xi + GROWTH * INFLOW * steps


LOCAL_STEP = young(
    "local step",
    "X - alpha G(X) off the mean is (1 - SHARE) a + b, SHARE = (1 - sqrt(rho)) / (2 tau)",
    1 - SHARE,
    Xi / (1 - SHARE) ** 2,
    alpha**2 * spread,
    AT_LEAST_1,
    BELOW_1,
)
STEPS = (
    descent(),
    LOCAL_STEP,
    spread_of_gradients(),
    Inequality(
        "drift",
        "local step; noise is unbiased with variance at most sigma^2",
        LOCAL_STEP.right + alpha**2 * sigma**2,
        Xi / (1 - LOSS) + INFLOW,
        (SPREAD, at_most(alpha, LIMIT, "alpha <= (1 - sqrt(rho)) / (4 L tau)"), AT_LEAST_1, BELOW_1),
    ),
    Inequality("start of a round", "no local step", Xi, after(Integer(0)), ()),
    Inequality(
        "local steps of a round",
        "drift, by induction in j",
        after(j) / (1 - LOSS) + INFLOW,
        after(j + 1),
        (MORE_THAN_J, BELOW_1),
    ),
    Inequality(
        "sum over a round",
        "local steps of a round, summed over j < tau",
        sympy.summation(after(j), (j, 0, tau - 1)),  # pyright: ignore[reportArgumentType]  # unannotated
        tau * (SPREADING * Xi + DRIFT),
        (),
    ),
    Inequality(
        "merge",
        "Pi - J contracts by sqrt(rho); local steps of a round with j = tau",
        s**2 * after(tau),
        RATE * Xi + s**2 * tau * GROWTH * INFLOW,
        (),
    ),
    Inequality(
        "sum over starts of rounds",
        "merge, summed over the K / tau rounds; total is of their starts",
        total,
        STARTS,
        (
            Assumption(
                "the sum of the rounds' ends is total - Xi_0 + (end of the last) >= total - Xi_0",
                Xi_0,
                (1 - RATE) * total - K / tau * s**2 * tau * GROWTH * INFLOW + slack(Xi_0),
            ),
            BELOW_1,
        ),
    ),
    Inequality(
        "sum of disagreements",
        "sum over a round, summed over rounds",
        tau * SPREADING * total + K * DRIFT,
        TOTAL,
        (at_most(total, STARTS, "sum over starts of rounds"), AT_LEAST_1, BELOW_1),
    ),
    bound_of_gradients(TOTAL, TERMS),
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
    step_sizes={"descent": LIMIT_OF_DESCENT, "drift": LIMIT},
    rule=lambda step_size, local_steps: LdSgd(
        learning_rate=step_size, local_steps=local_steps - 1, gossip_steps=1
    ),
    local_steps=5,
    quick=partial(few, "local_steps", ("quadratic", "separable"), local_steps=5),
    full=partial(many, "local_steps", ("quadratic", "separable", "logistic"), local_steps=(2, 4, 16)),
)
