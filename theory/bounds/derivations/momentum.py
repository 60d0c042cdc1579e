"""Polyak's momentum, merging at every step: V <- beta V - alpha G(X), X <- Pi X + V, from V = 0.

With V = -alpha V', the point z = xbar_k + beta / (1 - beta) (xbar_k - xbar_{k-1}), at first xbar_0, moves as
z <- z - eta (mean of the agents' gradients) with eta = alpha / (1 - beta) (Yu, Jin and Yang 2019, arXiv
1905.03817): momentum is SGD with step size eta, seen from a point that is eta beta |mean of V'| away.
"""

from functools import partial

import sympy
from sympy import Symbol

from dimat.methods.cdmsgd import Cdmsgd
from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.derivations.inequality import Assumption, Inequality, at_most, slack
from theory.bounds.derivations.shared import (
    BELOW_1,
    JENSEN,
    POLARIZATION,
    contraction,
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
    at_mean,
    beta,
    gap_0,
    inner,
    kappa,
    of_agents,
    s,
    sigma,
    spread,
    total,
)
from theory.bounds.settings import few, many

DECAY = 0.5
"""Of the velocity, in the audit."""
eta = alpha / (1 - beta)
LIMIT_OF_DESCENT = (1 - beta) ** 2 / (2 * L)
LIMIT_OF_CONSENSUS = (1 - s) * (1 - beta) / (2 * L)

change = Symbol("change", real=True)
apart_z, velocity, off_mean = sympy.symbols("apart_z velocity off_mean", nonnegative=True)
gradients, velocities, spreads, off_means = sympy.symbols(
    "gradients velocities spreads off_means", nonnegative=True
)
AUXILIARY = {
    change: "inner product of grad f(z) - grad f(xbar) and the mean of the agents' gradients",
    apart_z: "squared distance of grad f(z) and grad f(xbar)",
    velocity: "squared norm of the mean of V'",
    off_mean: "mean squared distance of V' from its mean",
    gradients: "sum of of_agents over k < K",
    velocities: "sum of velocity over k < K",
    spreads: "sum of spread over k < K",
    off_means: "sum of off_mean over k < K",
}
BETA = Assumption("0 <= beta < 1", beta, slack(beta) / (1 + slack(beta)))

KEPT = eta / 2 * (sympy.Rational(1, 2) - eta * L)
"""What descent keeps of the squared norm of the mean of the agents' gradients."""
LAG = eta**3 * L**2 * beta**2
"""What the squared norm of the mean velocity costs in one step's descent."""
PULL = eta * L**2 / 2
NOISE = eta**2 * L * sigma**2 / (2 * N)
VELOCITIES = (gradients / (1 - beta) + K * sigma**2 / N) / (1 - beta)
OFF_MEANS = (spreads / (1 - beta) + K * sigma**2) / (1 - beta)
INFLOW = alpha**2 * (
    2 * kappa**2 / ((1 - s) * (1 - beta) ** 2) + sigma**2 * (1 + beta / ((1 - s) * (1 - beta)))
)
"""What one step adds to Xi, on average over all steps."""
TOTAL = (2 / (1 - s)) * (Xi_0 + K * INFLOW)
"""The bound on the sum of Xi_k over k < K."""
TERMS = {
    "initial gap": 2 * gap_0 * (1 - beta) / (alpha * K),
    "noise": alpha * L * sigma**2 / (N * (1 - beta)),
    "noise in the velocity": 2 * alpha**2 * beta**2 * L**2 * sigma**2 / (N * (1 - beta) ** 3),
    "initial disagreement": 2 * L**2 * Xi_0 / ((1 - s) * K),
    "heterogeneity": 4 * alpha**2 * L**2 * kappa**2 / ((1 - s) ** 2 * (1 - beta) ** 2),
    "noise through disagreement": 2
    * alpha**2
    * L**2
    * sigma**2
    / (1 - s)
    * (1 + beta / ((1 - s) * (1 - beta))),
}

VELOCITY = young(
    "velocity", "mean of V' <- beta (mean of V') + mean of gradients", beta, velocity, of_agents, BETA
)
OFF_MEAN = young("velocity off the mean", "the same off the mean", beta, off_mean, spread, BETA)
CONTRACTION = contraction(OFF_MEAN.right)


def sum_from_rest(
    name: str, of: Symbol, driven_by: Symbol, noise: sympy.Expr, bound: sympy.Expr
) -> Inequality:
    """The sum over k < K of what is 0 at first, from its step, whose right side gets ``noise`` in sum."""
    return Inequality(
        name,
        "the step, summed over k < K, and noise, which is unbiased; V = 0 at first",
        of,
        bound,
        (
            Assumption(
                "sum <= beta sum + (sum of what drives it) / (1 - beta) + noise",
                driven_by,
                (1 - beta) * ((1 - beta) * of - noise + slack(driven_by)),
            ),
            BETA,
        ),
    )


STEPS = (
    Inequality(
        "descent",
        "f(z_{k+1}) - f(z_k) by L-smoothness; noise is unbiased, and independent between agents; "
        "<a, b> <= |a|^2 + |b|^2 / 4",
        -eta * (inner + change) + eta**2 * L / 2 * (of_agents + sigma**2 / N),
        -eta / 2 * at_mean - KEPT * of_agents + LAG * velocity + PULL * Xi + NOISE,
        (
            POLARIZATION,
            JENSEN,
            Assumption("|a + b / 2|^2 >= 0", change, slack(change) - apart_z - of_agents / 4),
            at_most(
                apart_z, (L * eta * beta) ** 2 * velocity, "L-smoothness; |z - xbar| = eta beta |mean of V'|"
            ),
            BETA,
        ),
    ),
    VELOCITY,
    sum_from_rest("sum of velocities", velocities, gradients, K * sigma**2 / N, VELOCITIES),
    OFF_MEAN,
    sum_from_rest("sum of velocities off the mean", off_means, spreads, K * sigma**2, OFF_MEANS),
    CONTRACTION,
    spread_of_gradients(),
    Inequality(
        "sum of disagreements",
        "contraction and noise, which is unbiased, summed over k < K",
        total,
        TOTAL,
        (
            Assumption(
                "the sum of Xi_{k+1} is total - Xi_0 + Xi_K >= total - Xi_0",
                Xi_0,
                total
                - CONTRACTION.right.subs({Xi: total, off_mean: off_means, spread: spreads})
                - K * alpha**2 * sigma**2
                + slack(Xi_0),
            ),
            at_most(off_means, OFF_MEANS, "sum of velocities off the mean"),
            at_most(spreads, 2 * L**2 * total + 2 * K * kappa**2, "spread of gradients"),
            at_most(alpha, LIMIT_OF_CONSENSUS, "alpha <= (1 - sqrt(rho)) (1 - beta) / (2 L)"),
            BELOW_1,
            BETA,
        ),
    ),
    Inequality(
        "bound",
        "descent summed over k < K; z_0 = xbar_0, f >= f*; sum of disagreements; divided by eta K / 2",
        (gap_0 - KEPT * gradients + LAG * velocities + PULL * TOTAL + K * NOISE) / (eta * K / 2),
        sympy.Add(*TERMS.values()),
        (
            at_most(velocities, VELOCITIES, "sum of velocities"),
            at_most(alpha, LIMIT_OF_DESCENT, "alpha <= (1 - beta)^2 / (2 L)"),
            BETA,
        ),
    ),
)

MOMENTUM = AuditedBound(
    key="momentum",
    title="Polyak's momentum, merging at every step",
    method="cdmsgd, not in Nesterov's form: V <- beta V - alpha G(X), X <- Pi X + V, from V = 0",
    source="auxiliary sequence of Yu, Jin and Yang 2019; constants derived here",
    setting="every agent keeps its own velocity, which is not merged",
    measures="the points X at which gradients are taken, before each merge",
    excludes="Nesterov's form; dpsgd with momentum; local steps; merges that move neurons, unless their "
    "permutations are consistent and velocities move along",
    steps=STEPS,
    terms=TERMS,
    disagreement=TOTAL / K,
    step_sizes={"descent": LIMIT_OF_DESCENT, "consensus": LIMIT_OF_CONSENSUS},
    auxiliary=AUXILIARY,
    rule=lambda step_size, local_steps: Cdmsgd(learning_rate=step_size, momentum=DECAY),
    known=lambda problem: {"beta": DECAY},
    quick=partial(few, "momentum", ("quadratic", "separable")),
    full=partial(many, "momentum", ("quadratic", "separable", "logistic")),
)
