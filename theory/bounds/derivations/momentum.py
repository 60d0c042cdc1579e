"""Polyak's momentum, merging at every step: V <- beta V - alpha G(X), X <- Pi X + V, from V = 0.

With V = -alpha V', the point z = xbar_k + beta / (1 - beta) (xbar_k - xbar_{k-1}), at first xbar_0, moves as
z <- z - eta (mean of the agents' gradients) with eta = alpha / (1 - beta) (Yu, Jin and Yang 2019, arXiv
1905.03817): momentum is SGD with step size eta, seen from a point that is eta beta |mean of V'| away.
"""

from functools import partial

import sympy
from sympy import Expr, Symbol

from dimat.methods.cdmsgd import Cdmsgd
from theory.bounds.derivations.audited import AuditedBound
from theory.bounds.derivations.axioms import (
    BELOW,
    BELOW_1,
    JENSEN,
    MERGE,
    NOISE,
    NOISE_OF_MEAN,
    NOT_NEGATIVE,
    a,
    g,
    moves,
    n,
    p,
    smoothness,
    v,
    w,
)
from theory.bounds.derivations.facts import Axiom, Lemma, SquareOf, Summed
from theory.bounds.derivations.inequality import Inequality, Use
from theory.bounds.derivations.ranges import Range
from theory.bounds.derivations.shared import (
    MEAN_SQUARED_GRADIENT,
    SPEED_UP,
    at_means,
    corollaries,
    spread_of_gradients,
)
from theory.bounds.derivations.symbols import (
    SUMS,
    K,
    L,
    N,
    Xi,
    Xi_0,
    Xi_next,
    alpha,
    beta,
    change,
    changes,
    gap_0,
    kappa,
    quantity,
    s,
    sigma,
    total,
    total_next,
)
from theory.bounds.derivations.vectors import gram, products, square, unbiased, vector
from theory.bounds.settings import few, many

DECAY = 0.5
"""Of the velocity, in the audit."""
eta = alpha / (1 - beta)
LIMIT_OF_DESCENT = (1 - beta) ** 2 / (2 * L)
LIMIT_OF_CONSENSUS = (1 - s) * (1 - beta) / (2 * L)

BETA = Range(beta, "<")

# In R^d; f is followed at z.
y = vector("y", "the mean of the agents' V'")
d = vector("d", "grad f(z) - grad f(xbar)")
products(p, v, d)
products(y, v)
unbiased(w, y, d)
# Over agents.
u = vector("u", "the agents' V', minus their mean")
products(a, g, u)
unbiased(n, u)
y_next = quantity("y_next", "squared norm of y after the step, expected")
u_next = quantity("u_next", "squared norm of u after the step, expected")
gradients, velocities, off_means = SUMS[gram(v)], SUMS[gram(y)], SUMS[gram(u)]

LAGS = Axiom(
    "gradient at z",
    "f is L-smooth; z is eta beta |y| away from xbar",
    gram(d),
    (L * eta * beta) ** 2 * gram(y),
)
VELOCITY = Axiom(
    "velocity", "V' <- beta V' + gradients, mean", y_next, square(y * beta + v + w), is_identity=True
)
OFF_MEAN = Axiom(
    "velocity off the mean", "the same, off the mean", u_next, square(u * beta + g + n), is_identity=True
)
FROM_REST = tuple(
    Axiom("from rest", "V = 0 at first, and no square is negative in the end", SUMS[gram(of)], SUMS[after])
    for of, after in ((y, y_next), (u, u_next))
)

KEPT = eta / 2 * (sympy.Rational(1, 2) - eta * L)
"""What descent keeps of the squared norm of the mean of the agents' gradients."""
LAG = eta**3 * L**2 * beta**2
"""What the squared norm of the mean velocity costs in one step's descent."""
PULL = eta * L**2 / 2
NOISE_OF_DESCENT = eta**2 * L * sigma**2 / (2 * N)
VELOCITIES = (gradients / (1 - beta) + K * sigma**2 / N) / (1 - beta)
OFF_MEANS = (SUMS[gram(g)] / (1 - beta) + K * sigma**2) / (1 - beta)
INFLOW = alpha**2 * (
    2 * kappa**2 / ((1 - s) * (1 - beta) ** 2) + sigma**2 * (1 + beta / ((1 - s) * (1 - beta)))
)
"""What one step adds to Xi, on average over all steps."""
TOTAL = (2 / (1 - s)) * (Xi_0 + K * INFLOW)
"""The bound on the sum of Xi_k over k < K."""
STEP_SIZES = {"descent": LIMIT_OF_DESCENT, "consensus": LIMIT_OF_CONSENSUS}
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


def sum_of_velocities(of: Symbol, step: str, after: Symbol, which: int, bound: Expr) -> Inequality:
    """The sum over k < K of what is 0 at first, from its ``step``."""
    return Inequality(
        f"sum of {step}",
        "the step, summed",
        of,
        bound,
        (Use(FROM_REST[which], times=1 / (1 - beta)), Use(Summed(step), SUMS[after])),
        (BETA,),
    )


STEPS = (
    Inequality(
        "descent",
        "z takes a gradient step whose gradient is off by what the agents are apart, and by d",
        change,
        -eta / 2 * gram(p) - KEPT * gram(v) + LAG * gram(y) + PULL * Xi + NOISE_OF_DESCENT,
        (
            Use(smoothness((v + w) * -eta, p + d), change),
            Use(JENSEN, gram(p, v)),
            Use(SquareOf(d + v * sympy.Rational(1, 2)), gram(v, d)),
            Use(LAGS, gram(d)),
            Use(NOISE_OF_MEAN, gram(w)),
        ),
        (BETA,),
    ),
    Inequality(
        "velocity",
        "Young's inequality with the parameter 1 / beta - 1",
        y_next,
        beta * gram(y) + gram(v) / (1 - beta) + sigma**2 / N,
        (
            Use(VELOCITY, y_next),
            Use(SquareOf(y * (1 - beta) - v), gram(y, v)),
            Use(NOISE_OF_MEAN, gram(w)),
        ),
        (BETA,),
    ),
    sum_of_velocities(velocities, "velocity", y_next, 0, VELOCITIES),
    Inequality(
        "velocity off the mean",
        "Young's inequality with the parameter 1 / beta - 1",
        u_next,
        beta * gram(u) + gram(g) / (1 - beta) + sigma**2,
        (
            Use(OFF_MEAN, u_next),
            Use(SquareOf(u * (1 - beta) - g), gram(u, g)),
            Use(NOISE, gram(n)),
        ),
        (BETA,),
    ),
    sum_of_velocities(off_means, "velocity off the mean", u_next, 1, OFF_MEANS),
    Inequality(
        "contraction",
        "Young's inequality with the parameters 1 / s - 1 and 1 / beta - 1",
        Xi_next,
        s * Xi + alpha**2 * (beta * gram(u) + gram(g) / (1 - beta)) / (1 - s) + alpha**2 * sigma**2,
        (
            Use(moves(a * s - (u * beta + g) * alpha - n * alpha), Xi_next),
            Use(SquareOf(a * (1 - s) + (u * beta + g) * alpha), gram(a, g)),
            Use(SquareOf(u * (1 - beta) - g), gram(u, g)),
            Use(MERGE, gram(a)),
            Use(NOISE, gram(n)),
        ),
        (BELOW_1, BETA),
    ),
    spread_of_gradients(),
    Inequality(
        "sum of disagreements",
        "contraction, summed, with the sums of what moves the agents",
        total,
        TOTAL,
        (
            Use(NOT_NEGATIVE, Xi_0),
            Use(Summed("contraction"), total_next),
            Use(Lemma("sum of velocity off the mean"), off_means),
            Use(Summed("spread of gradients"), SUMS[gram(g)]),
        ),
        (Range(alpha, "<=", LIMIT_OF_CONSENSUS), BELOW_1, BETA),
    ),
    Inequality(
        "bound",
        "descent, summed, from z_0 = xbar_0, and the sums of velocity and disagreements",
        MEAN_SQUARED_GRADIENT,
        sympy.Add(*TERMS.values()),
        (
            Use(Summed("descent"), at_means),
            Use(BELOW, changes),
            Use(Lemma("sum of velocity"), velocities),
            Use(Lemma("sum of disagreements"), total),
        ),
        (Range(alpha, "<=", LIMIT_OF_DESCENT), BELOW_1, BETA),
    ),
    *corollaries(
        TERMS,
        (2 * gap_0 + L * sigma**2) / sympy.sqrt(N * K)
        + N
        / K
        * L**2
        * (
            2 * beta**2 * sigma**2 / (N * (1 - beta))
            + 2 * Xi_0 / ((1 - s) * N)
            + 4 * kappa**2 / (1 - s) ** 2
            + 2 * (1 - beta) ** 2 * sigma**2 / (1 - s) * (1 + beta / ((1 - s) * (1 - beta)))
        ),
        STEP_SIZES,
        BELOW_1,
        BETA,
        step_size=(1 - beta) * SPEED_UP,
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
    step_sizes=STEP_SIZES,
    speed_up=(1 - beta) * SPEED_UP,
    rule=lambda step_size, local_steps: Cdmsgd(learning_rate=step_size, momentum=DECAY),
    known=lambda problem: {"beta": DECAY},
    quick=partial(few, "momentum", ("quadratic", "separable")),
    full=partial(many, "momentum", ("quadratic", "separable", "logistic")),
)
