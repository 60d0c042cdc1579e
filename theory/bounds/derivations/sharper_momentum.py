"""Polyak's momentum, merging at every step, with a sharper term of the noise through the disagreement.

What moves the agents apart is split in two, x = R + B: noise alone makes B, gradients and the start make the
rest R. B follows a linear recursion with noise that is independent from step to step, so that its mean square
is known exactly; the classical bound takes it through Young's inequality, as if it always pointed one way.
"""

from dataclasses import replace

import sympy
from sympy import Expr, Integer, Symbol

from theory.bounds.derivations.axioms import BELOW_1, NOISE, g, n
from theory.bounds.derivations.facts import Axiom, Lemma, SquareOf, Summed
from theory.bounds.derivations.inequality import Inequality, Use
from theory.bounds.derivations.momentum import BETA, LIMIT_OF_CONSENSUS, MOMENTUM, eta
from theory.bounds.derivations.ranges import Range
from theory.bounds.derivations.shared import MEAN_SQUARED_GRADIENT, at_means
from theory.bounds.derivations.sharper import sharpened
from theory.bounds.derivations.symbols import (
    SUMS,
    K,
    L,
    N,
    Xi,
    Xi_0,
    alpha,
    beta,
    c,
    kappa,
    quantity,
    s,
    sigma,
    total,
)
from theory.bounds.derivations.vectors import dot, gram, products, square, unbiased, vector

# Over agents.
B = vector("B", "what noise alone has moved the agents from their mean")
R = vector("R", "the rest of x, x = R + B")
A = vector("A", "what a merge leaves of R, over s")
U = vector("U", "the agents' V' without noise, minus their mean")
b = vector("b", "B, if noise were along the slowest eigenvector of Pi alone")
f = vector("f", "its part of V'")
products(R, B)
products(A, U, g)
products(b, f)
unbiased(n, b, f)
R_next = quantity("R_next", "squared norm of R after the step, expected")
U_next = quantity("U_next", "squared norm of U after the step, expected")
b_next = quantity("b_next", "squared norm of b after the step, expected")
f_next = quantity("f_next", "squared norm of f after the step, expected")
bf_next = quantity("bf_next", "inner product of b and f after the step, expected", sign="real")

OPEN = Range(c, "<")
SMALL_STEP = Range(alpha, "<=", LIMIT_OF_CONSENSUS)
RETURN = 2 * eta**2 * L**2 / (1 - s) ** 2
"""At most 1/2: how much of the sum of Xi comes back through gradients."""
SHARE = RETURN + (1 - RETURN) * c
"""The parameter of Young's inequality for x = R + B, between `RETURN` and 1."""
OWN = sigma**2 * (1 - 1 / N)
STATIONARY = alpha**2 * OWN * (1 + s * beta) / ((1 - s**2) * (1 - beta**2) * (1 - s * beta))
"""The mean square of b after many steps; before, it is smaller."""
OF_REST = 1 / ((1 - RETURN) * c)
PARTS = {
    "initial disagreement": OF_REST * Xi_0 / ((1 - s) * K),
    "heterogeneity": OF_REST * 2 * eta**2 * kappa**2 / (1 - s) ** 2,
    "noise through disagreement": STATIONARY * SHARE / ((1 - RETURN) ** 2 * c * (1 - c)),
}
"""They add up to the bound on the mean of Xi_k over k < K."""
TERMS = {**MOMENTUM.terms, **{name: L**2 * part for name, part in PARTS.items()}}

SPLIT = Axiom("two parts", "x = R + B", Xi, square(R + B), is_identity=True)
MERGE_OF_REST = Axiom("merge of the rest", "Pi - J contracts by s", gram(A), gram(R))
REST = Axiom(
    "rest", "the method without noise", R_next, square(A * s - (U * beta + g) * alpha), is_identity=True
)
VELOCITY = Axiom(
    "velocity of the rest", "the method without noise", U_next, square(U * beta + g), is_identity=True
)
_noise, _velocity = b * s - f * (alpha * beta) - n * alpha, f * beta + n
NOISE_ALONE = tuple(
    Axiom("noise alone", "the method without gradients, where Pi b = s b", left, right, is_identity=True)
    for left, right in (
        (b_next, square(_noise)),
        (f_next, square(_velocity)),
        (bf_next, dot(_noise, _velocity)),
    )
)
SLOWEST = Axiom(
    "slowest direction",
    "eigenvectors of Pi are moved by noise independently, and none further than that of s",
    SUMS[gram(B)],
    SUMS[gram(b)],
)
START = Axiom(
    "sums of R", "R is x at first, and no square is negative in the end", SUMS[gram(R)] - Xi_0, SUMS[R_next]
)
FROM_REST = {
    of: Axiom("from rest", "0 at first, and no square is negative in the end", SUMS[of], SUMS[after])
    for of, after in ((gram(U), U_next), (gram(b), b_next), (gram(f), f_next))
}
AGAINST = Axiom("noise and its velocity", "0 at first, and never above 0", SUMS[bf_next], SUMS[gram(b, f)])


def from_rest(
    name: str, left: Expr, right: Expr, loss: Expr, rest: Axiom, after: Symbol, *more: Use
) -> Inequality:
    """The sum over k < K of what is 0 at first and keeps a share 1 - ``loss``, from the step ``name``."""
    return Inequality(
        f"sum of {name}",
        "the step, summed",
        left,
        right,
        (Use(rest, times=1 / loss), Use(Summed(name), after), *more),
        (BELOW_1, BETA),
    )


OF_F = K * OWN / (1 - beta**2)
OF_BF = (alpha * beta**2 * SUMS[gram(f)] + K * alpha * OWN) / (1 - s * beta)
OF_U = SUMS[gram(g)] / (1 - beta) ** 2
OF_R = (Xi_0 + eta**2 * SUMS[gram(g)] / (1 - s)) / (1 - s)
SHARED = {step.name: step for step in MOMENTUM.steps}

STEPS = (
    *(SHARED[name] for name in ("descent", "velocity", "sum of velocity", "spread of gradients")),
    Inequality(
        "velocity of noise",
        "noise is unbiased",
        f_next,
        beta**2 * gram(f) + OWN,
        (Use(NOISE_ALONE[1], f_next), Use(NOISE, gram(n))),
        (BETA,),
    ),
    from_rest("velocity of noise", SUMS[gram(f)], OF_F, 1 - beta**2, FROM_REST[gram(f)], SUMS[f_next]),
    Inequality(
        "noise and its velocity",
        "noise is unbiased",
        -bf_next,
        -s * beta * gram(b, f) + alpha * beta**2 * gram(f) + alpha * OWN,
        (Use(NOISE_ALONE[2], bf_next), Use(NOISE, gram(n))),
        (BETA,),
    ),
    from_rest("noise and its velocity", -SUMS[gram(b, f)], OF_BF, 1 - s * beta, AGAINST, SUMS[bf_next]),
    Inequality(
        "noise apart",
        "noise is unbiased",
        b_next,
        s**2 * gram(b) - 2 * s * alpha * beta * gram(b, f) + alpha**2 * beta**2 * gram(f) + alpha**2 * OWN,
        (Use(NOISE_ALONE[0], b_next), Use(NOISE, gram(n))),
        (BELOW_1, BETA),
    ),
    from_rest(
        "noise apart",
        SUMS[gram(b)],
        K * STATIONARY,
        1 - s**2,
        FROM_REST[gram(b)],
        SUMS[b_next],
        Use(Lemma("sum of noise and its velocity"), SUMS[gram(b, f)]),
        Use(Lemma("sum of velocity of noise"), SUMS[gram(f)]),
    ),
    Inequality(
        "velocity of the rest",
        "Young's inequality with the parameter 1 / beta - 1",
        U_next,
        beta * gram(U) + gram(g) / (1 - beta),
        (Use(VELOCITY, U_next), Use(SquareOf(U * (1 - beta) - g), gram(U, g))),
        (BETA,),
    ),
    from_rest("velocity of the rest", SUMS[gram(U)], OF_U, 1 - beta, FROM_REST[gram(U)], SUMS[U_next]),
    Inequality(
        "rest apart",
        "Young's inequality with the parameters 1 / s - 1 and 1 / beta - 1",
        R_next,
        s * gram(R) + alpha**2 * (beta * gram(U) + gram(g) / (1 - beta)) / (1 - s),
        (
            Use(REST, R_next),
            Use(SquareOf(A * (1 - s) + (U * beta + g) * alpha), gram(A, g)),
            Use(SquareOf(U * (1 - beta) - g), gram(U, g)),
            Use(MERGE_OF_REST, gram(A)),
        ),
        (BELOW_1, BETA),
    ),
    Inequality(
        "sum of rest apart",
        "the step, summed",
        SUMS[gram(R)],
        OF_R,
        (
            Use(START, times=1 / (1 - s)),
            Use(Summed("rest apart"), SUMS[R_next]),
            Use(Lemma("sum of velocity of the rest"), SUMS[gram(U)]),
        ),
        (BELOW_1, BETA),
    ),
    Inequality(
        "parts",
        "Young's inequality with the parameter SHARE, in which c is free",
        Xi,
        gram(R) / SHARE + gram(B) / (1 - SHARE),
        (Use(SPLIT, Xi), Use(SquareOf(R * (1 - SHARE) - B * SHARE), gram(R, B))),
        (OPEN, SMALL_STEP, BELOW_1, BETA),
    ),
    Inequality(
        "sum of disagreements",
        "parts, summed; what comes back through gradients is taken to the left side",
        total,
        K * sum(PARTS.values(), start=Integer(0)),
        (
            Use(Summed("parts"), times=OF_REST * SHARE),
            Use(Lemma("sum of rest apart"), SUMS[gram(R)]),
            Use(SLOWEST, SUMS[gram(B)]),
            Use(Lemma("sum of noise apart"), SUMS[gram(b)]),
            Use(Summed("spread of gradients"), SUMS[gram(g)]),
        ),
        (OPEN, SMALL_STEP, BELOW_1, BETA),
    ),
    replace(
        SHARED["bound"],
        name="gradients",
        because="descent, summed, and the sum of velocity",
        right=L**2 * total / K
        + sum((term for name, term in TERMS.items() if name not in PARTS), start=Integer(0)),
        uses=SHARED["bound"].uses[:-1],
        ranges=(Range(alpha, "<=", MOMENTUM.step_sizes["descent"]), BETA),
    ),
    Inequality(
        "bound",
        "the sum of disagreements is put in",
        MEAN_SQUARED_GRADIENT,
        sympy.Add(*TERMS.values()),
        (Use(Lemma("gradients"), at_means), Use(Lemma("sum of disagreements"), total)),
        (OPEN, SMALL_STEP, BELOW_1, BETA),
    ),
)

SHARPER_MOMENTUM = sharpened(
    MOMENTUM,
    STEPS,
    TERMS,
    PARTS,
    closed_end=False,
)
