"""A coordinate-wise adaptive step, merging at every step: X <- Pi X - alpha D G(X).

D has a diagonal preconditioner for each agent, with entries between m and M: whatever they depend on, the
gradient of the same step included. With Adam's 1 / (sqrt(v) + epsilon) that is M = 1 / epsilon and
m = 1 / (G_max + epsilon), if no entry of any stochastic gradient ever exceeds G_max: assumptions, not
results.

Preconditioners that differ between agents, or that depend on the noise, point elsewhere than the gradient, by
as much as (M - m) / 2 allows. The bound has a term for that which does not vanish with alpha. None can be
without it under these assumptions: agents at rest solve sum_i D_i grad f_i = 0, not sum_i grad f_i = 0. With
m = M = 1 what is left is SGD; its noise through disagreement is bounded less tightly than in `gossip`.
"""

from functools import partial

import sympy
from sympy import Symbol

from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.derivations.inequality import Assumption, Inequality, at_most, slack
from theory.bounds.derivations.shared import (
    BELOW_1,
    JENSEN,
    POLARIZATION,
    SPREAD,
    contraction,
    spread_of_gradients,
)
from theory.bounds.derivations.symbols import (
    K,
    L,
    M,
    N,
    Xi,
    Xi_0,
    aa,
    ab,
    alpha,
    at_mean,
    bb,
    gap_0,
    inner,
    kappa,
    m,
    of_agents,
    s,
    sigma,
    spread,
    total,
)
from theory.bounds.gossip_adam import GossipAdam
from theory.bounds.settings import few, many
from theory.problems import Problem, Separable

EPSILON = 10.0
"""Of preconditioners 1 / (sqrt(v) + epsilon) in the audit: large, or they differ too much for a bound to say
anything."""

CENTER = (M + m) / 2
RADIUS = (M - m) / 2
LIMIT = (1 - s) * m / (2 * L * M**2)

skew = Symbol("skew", real=True)
size, around, steps_spread, gradients = sympy.symbols("size around steps_spread gradients", nonnegative=True)
AUXILIARY = {
    size: "mean squared norm of the agents' stochastic gradients",
    around: "mean squared distance of the agents' stochastic gradients from grad f(xbar)",
    skew: "inner product of grad f(xbar) and the mean of E, D G = CENTER G + RADIUS E with |E_i| <= |G_i|",
    steps_spread: "mean squared distance of the agents' D_i G_i from their mean",
    gradients: "sum of of_agents over k < K",
}
LARGER = Assumption("m <= M", M, m + slack(M))
SIZE = at_most(
    size, of_agents + spread + sigma**2, "noise is unbiased; mean square = square of the mean + spread"
)
SMALL_STEP = at_most(alpha, LIMIT, "alpha <= (1 - sqrt(rho)) m / (2 L M^2)")

KEPT = alpha / 2 * (m - alpha * L * M**2)
"""What descent keeps of the squared norm of the mean of the agents' gradients."""
SKEWNESS = 3 * alpha * RADIUS / 4 * (2 * kappa**2 + sigma**2)
"""What preconditioners that differ cost in one step's descent."""
PULL = alpha * L**2 * (2 * M - m) / 2
NOISE = alpha**2 * L * M * CENTER * sigma**2 / (2 * N)
INFLOW = alpha**2 * M**2 * (2 * kappa**2 + sigma**2) / (1 - s)
FEEDBACK = alpha**2 * M * RADIUS / (1 - s)
"""What the squared norm of the mean of the agents' gradients adds to Xi in a step."""
TOTAL = (2 / (1 - s)) * (Xi_0 + K * INFLOW + FEEDBACK * gradients)
"""The bound on the sum of Xi_k over k < K."""
TERMS = {
    "initial gap": 2 * gap_0 / (alpha * m * K),
    "noise": alpha * L * M * (M + m) * sigma**2 / (2 * m * N),
    "different preconditioners": 3 * (M - m) / (4 * m) * (2 * kappa**2 + sigma**2),
    "initial disagreement": 2 * L**2 * (2 * M - m) * Xi_0 / (m * (1 - s) * K),
    "heterogeneity": 4 * alpha**2 * L**2 * M**2 * (2 * M - m) * kappa**2 / (m * (1 - s) ** 2),
    "noise through disagreement": 2 * alpha**2 * L**2 * M**2 * (2 * M - m) * sigma**2 / (m * (1 - s) ** 2),
}
TWO_PARTS = Inequality(
    "two parts",
    "|CENTER a + RADIUS b|^2, CENTER + RADIUS = M",
    CENTER**2 * aa + 2 * CENTER * RADIUS * ab + RADIUS**2 * bb,
    M * (CENTER * aa + RADIUS * bb),
    (Assumption("|a - b|^2 >= 0", ab, (aa + bb - slack(ab)) / 2), LARGER),
)
CONTRACTION = contraction(steps_spread)

STEPS = (
    TWO_PARTS,
    spread_of_gradients(),
    Inequality(
        "descent",
        "f(xbar_{k+1}) - f(xbar_k) by L-smoothness; two parts; the mean gradient's noise is unbiased and "
        "independent between agents; the mean of E is at most size in square (Jensen)",
        -alpha * (CENTER * inner + RADIUS * skew)
        + alpha**2 * L / 2 * TWO_PARTS.right.subs({aa: of_agents + sigma**2 / N, bb: size}),
        -alpha * m / 2 * at_mean - KEPT * of_agents + PULL * Xi + SKEWNESS + NOISE,
        (
            POLARIZATION,
            JENSEN,
            Assumption("|grad f(xbar) + mean of E|^2 >= 0", skew, (slack(skew) - at_mean - size) / 2),
            SIZE,
            SPREAD,
            SMALL_STEP,
            LARGER,
            BELOW_1,
        ),
    ),
    CONTRACTION,
    Inequality(
        "consensus",
        "contraction, of D G with its noise",
        CONTRACTION.right,
        (1 + s) / 2 * Xi + INFLOW + FEEDBACK * of_agents,
        (
            at_most(
                steps_spread,
                TWO_PARTS.right.subs({aa: around, bb: size}),
                "two parts, of distances from CENTER grad f(xbar); those from the mean are smaller",
            ),
            SIZE,
            SPREAD,
            at_most(
                around,
                2 * L**2 * Xi + 2 * kappa**2 + sigma**2,
                "spread of gradients, from grad f(xbar), too; noise is unbiased",
            ),
            SMALL_STEP,
            LARGER,
            BELOW_1,
        ),
    ),
    Inequality(
        "sum of disagreements",
        "consensus, summed over k < K",
        total,
        TOTAL,
        (
            Assumption(
                "the sum of Xi_{k+1} is total - Xi_0 + Xi_K >= total - Xi_0",
                Xi_0,
                total - ((1 + s) / 2 * total + K * INFLOW + FEEDBACK * gradients) + slack(Xi_0),
            ),
            BELOW_1,
        ),
    ),
    Inequality(
        "bound",
        "descent summed over k < K; f >= f*; sum of disagreements; divided by alpha m K / 2",
        (gap_0 - KEPT * gradients + PULL * TOTAL + K * (SKEWNESS + NOISE)) / (alpha * m * K / 2),
        sympy.Add(*TERMS.values()),
        (SMALL_STEP, LARGER, BELOW_1),
    ),
)


def largest_entry(problem: Problem) -> float:
    """What no entry of any stochastic gradient exceeds: it exists where losses have bounded slopes."""
    if not isinstance(problem, Separable):
        raise TypeError(f"gradients of the problem {problem.name} are not bounded")
    return float(problem.amplitudes.max()) + problem.sigma / problem.dimensions**0.5


ADAM = AuditedBound(
    key="adam",
    title="coordinate-wise adaptive steps, merging at every step",
    method="X <- Pi X - alpha D G(X), with diagonal preconditioners D_i whose entries lie between m and M",
    source="derived here",
    setting="entries of the preconditioners are bounded from both sides, and may depend on anything",
    measures="the points X at which gradients are taken, before each merge",
    excludes="Adam's first momentum (beta_1 > 0) and weight decay; local steps; a limit of 0: the term of "
    "different preconditioners stays as alpha tends to 0; that m and M exist is assumed",
    steps=STEPS,
    terms=TERMS,
    disagreement=None,
    step_sizes={"descent and consensus": LIMIT},
    auxiliary=AUXILIARY,
    rule=lambda step_size, local_steps: GossipAdam(learning_rate=step_size, first=0.0, epsilon=EPSILON),
    known=lambda problem: {"m": 1 / (largest_entry(problem) + EPSILON), "M": 1 / EPSILON},
    quick=partial(few, "adam", ("separable",)),
    full=partial(many, "adam", ("separable",)),
)
