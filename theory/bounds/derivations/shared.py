"""Steps that several derivations share.

Sources: Lian et al. 2017 (arXiv 1705.09056), Koloskova et al. 2020 (arXiv 2003.10422); textbook inequalities.
"""

from collections.abc import Mapping

import sympy
from sympy import Expr

from theory.bounds.derivations.axioms import (
    BELOW,
    BELOW_1,
    HETEROGENEITY,
    JENSEN,
    NOISE_OF_MEAN,
    NOT_NEGATIVE,
    SMOOTH_AGENTS,
    TWO_PARTS,
    g,
    h,
    k,
    p,
    smoothness,
    v,
    w,
)
from theory.bounds.derivations.facts import Lemma, SquareOf, Summed
from theory.bounds.derivations.inequality import Inequality, Use
from theory.bounds.derivations.ranges import Range
from theory.bounds.derivations.symbols import (
    SUMS,
    K,
    L,
    N,
    Xi,
    Xi_0,
    Xi_next,
    alpha,
    change,
    changes,
    kappa,
    sigma,
    total,
    total_next,
)
from theory.bounds.derivations.vectors import gram

LIMIT_OF_DESCENT = 1 / L
PULL = alpha * L**2 / 2
"""What a unit of Xi costs in one step's descent."""
NOISE_OF_DESCENT = alpha**2 * L * sigma**2 / (2 * N)
"""What the noise costs in one step's descent."""
at_means = SUMS[gram(p)]
"""The sum of |grad f(xbar_k)|^2 over k < K."""
MEAN_SQUARED_GRADIENT = at_means / K
SPEED_UP = sympy.sqrt(N / K)
"""The step size of the corollaries."""
ROOTS = (Range(N, "is the square of its root"), Range(K, "is the square of its root"))


def descent() -> Inequality:
    """One step of f at the mean, which moves as xbar <- xbar - alpha (v + w)."""
    return Inequality(
        "descent",
        "the mean takes a gradient step whose gradient is off by what the agents are apart",
        change,
        -alpha / 2 * gram(p) + PULL * Xi + NOISE_OF_DESCENT,
        (
            Use(smoothness((v + w) * -alpha), change),
            Use(JENSEN, gram(p, v)),
            Use(NOISE_OF_MEAN, gram(w)),
        ),
        (Range(alpha, "<=", LIMIT_OF_DESCENT),),
    )


def spread_of_gradients() -> Inequality:
    """The mean squared distance of the agents' gradients from their mean."""
    return Inequality(
        "spread of gradients",
        "a part for where agents are, and one for how their losses differ",
        gram(g),
        2 * L**2 * Xi + 2 * kappa**2,
        (
            Use(TWO_PARTS, gram(g)),
            Use(SquareOf(h - k), gram(h, k)),
            Use(SMOOTH_AGENTS, gram(h)),
            Use(HETEROGENEITY, gram(k)),
        ),
    )


def consensus(of: str, rate: Expr, inflow: Expr, *ranges: Range) -> Inequality:
    """Xi after a step from the step called ``of``, which has |g|^2."""
    return Inequality(
        "consensus",
        "the gradients' spread is put in",
        Xi_next,
        rate * Xi + inflow,
        (Use(Lemma(of), Xi_next), Use(Lemma("spread of gradients"), gram(g))),
        ranges,
    )


def sum_of_disagreements(bound: Expr, *ranges: Range) -> Inequality:
    """The sum of Xi_k over k < K, from the recursion "consensus"."""
    return Inequality(
        "sum of disagreements",
        "the recursion, summed",
        total,
        bound,
        (Use(NOT_NEGATIVE, Xi_0), Use(Summed("consensus"), total_next)),
        ranges,
    )


def bound_of_gradients(terms: Mapping[str, Expr], *ranges: Range) -> Inequality:
    """The mean squared gradient, from the steps "descent" and "sum of disagreements"."""
    return Inequality(
        "bound",
        "descent, summed, and the sum of disagreements",
        MEAN_SQUARED_GRADIENT,
        sympy.Add(*terms.values()),
        (
            Use(Summed("descent"), at_means),
            Use(BELOW, changes),
            Use(Lemma("sum of disagreements"), total),
        ),
        ranges,
    )


def corollaries(
    terms: Mapping[str, Expr],
    rate: Expr,
    step_sizes: Mapping[str, Expr],
    *ranges: Range,
    step_size: Expr = SPEED_UP,
) -> tuple[Inequality, ...]:
    """The bound at a ``step_size`` that falls as sqrt(N / K), and how many steps make that admissible."""
    return (
        Inequality(
            "rate",
            f"the bound at alpha = {step_size}",
            sympy.Add(*(term.subs(alpha, step_size) for term in terms.values())),
            rate,
            (),
            (*ROOTS, *ranges),
        ),
        *(
            Inequality(
                f"enough steps for {what}",
                f"alpha = {step_size} is at most its limit, both squared",
                sympy.expand(step_size**2),
                limit**2,
                (),
                (Range(K, ">=", sympy.cancel(step_size**2 * K / limit**2)), *ranges),
            )
            for what, limit in step_sizes.items()
        ),
    )


def recursion_steps(
    contraction: Inequality,
    recursion: Inequality,
    disagreements: Expr,
    terms: Mapping[str, Expr],
) -> tuple[Inequality, ...]:
    """All steps of a bound whose Xi has one recursion, called "consensus"."""
    return (
        descent(),
        contraction,
        spread_of_gradients(),
        recursion,
        sum_of_disagreements(disagreements, BELOW_1),
        bound_of_gradients(terms, BELOW_1),
    )
