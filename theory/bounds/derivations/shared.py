"""Inequalities that several derivations share: steps, and what their assumptions say.

Sources: Lian et al. 2017 (arXiv 1705.09056), Koloskova et al. 2020 (arXiv 2003.10422); textbook inequalities.
"""

import sympy
from sympy import Expr

from theory.bounds.derivations.inequality import Assumption, Inequality, at_most, slack
from theory.bounds.derivations.symbols import (
    K,
    L,
    N,
    Xi,
    Xi_0,
    aa,
    ab,
    alpha,
    apart,
    at_mean,
    bb,
    gap_0,
    inner,
    kappa,
    of_agents,
    s,
    sigma,
    spread,
    total,
)

BELOW_1 = Assumption("0 <= sqrt(rho) < 1", s, slack(s) / (1 + slack(s)))
POLARIZATION = Assumption(
    "|a - b|^2 = |a|^2 - 2 <a, b> + |b|^2, of grad f(xbar) and the mean of the agents' gradients",
    inner,
    (at_mean + of_agents - apart) / 2,
)
JENSEN = at_most(
    apart,
    L**2 * Xi,
    "the mean of the agents' gradients is at most L^2 Xi from grad f(xbar), squared: L-smoothness and Jensen",
)
SPREAD = at_most(spread, 2 * L**2 * Xi + 2 * kappa**2, "spread of gradients")

LIMIT_OF_DESCENT = 1 / L
PULL = alpha * L**2 / 2
"""What a unit of Xi costs in one step's descent."""
NOISE = alpha**2 * L * sigma**2 / (2 * N)
"""What the noise costs in one step's descent."""


def descent() -> Inequality:
    """One step of f at the mean, which moves as xbar <- xbar - alpha (mean of the agents' gradients)."""
    return Inequality(
        "descent",
        "f(xbar_{k+1}) - f(xbar_k) by L-smoothness; noise is unbiased, and independent between agents",
        -alpha * inner + alpha**2 * L / 2 * (of_agents + sigma**2 / N),
        -alpha / 2 * at_mean + PULL * Xi + NOISE,
        (POLARIZATION, JENSEN, at_most(alpha, LIMIT_OF_DESCENT, "alpha <= 1 / L")),
    )


def young(name: str, because: str, t: Expr, a: Expr, b: Expr, *assumptions: Assumption) -> Inequality:
    """Young's inequality: |t x + y|^2 <= t |x|^2 + |y|^2 / (1 - t), where 0 <= t < 1.

    |x|^2 is at most ``a``, |y|^2 at most ``b``. It is usually written as |x + y|^2 <= (1 + theta) |x|^2 +
    (1 + 1/theta) |y|^2; here theta = 1/t - 1, and t x takes the place of x, so that t may be 0.
    """
    return Inequality(
        name,
        f"{because}; Young's inequality with theta = 1/t - 1, t = {t}",
        t**2 * aa + 2 * t * ab + bb,
        t * a + b / (1 - t),
        (
            Assumption("|(1 - t) a - b|^2 >= 0", ab, ((1 - t) ** 2 * aa + bb - slack(ab)) / (2 * (1 - t))),
            at_most(aa, a, "|a|^2 is at most what the right side has"),
            at_most(bb, b, "|b|^2 is at most what the right side has"),
            *assumptions,
        ),
    )


def contraction(moved: Expr = spread) -> Inequality:
    """Disagreement after a merge of what had disagreement Xi, moved by alpha times what has ``moved``."""
    return young(
        "contraction",
        "Pi - J contracts by s = sqrt(rho): (Pi - J) X = s a with |a|^2 <= Xi, mean over agents",
        s,
        Xi,
        alpha**2 * moved,
        BELOW_1,
    )


def spread_of_gradients() -> Inequality:
    """The mean squared distance of the agents' gradients from their mean, and from grad f(xbar)."""
    return Inequality(
        "spread of gradients",
        "distances from any other point than the mean are larger, so take grad f(xbar); |a + b|^2 for two "
        "parts",
        aa + 2 * ab + bb,
        2 * L**2 * Xi + 2 * kappa**2,
        (
            Assumption("|a - b|^2 >= 0", ab, (aa + bb - slack(ab)) / 2),
            at_most(aa, L**2 * Xi, "a = grad f_i(x_i) - grad f_i(xbar): L-smoothness, mean over agents"),
            at_most(bb, kappa**2, "b = grad f_i(xbar) - grad f(xbar): heterogeneity"),
        ),
    )


def sum_of_disagreements(rate: Expr, inflow: Expr, bound: Expr, *assumptions: Assumption) -> Inequality:
    """The sum of Xi_k over k < K from Xi_{k+1} <= ``rate`` Xi_k + ``inflow``."""
    return Inequality(
        "sum of disagreements",
        "consensus, summed over k < K",
        total,
        bound,
        (
            Assumption(
                "the sum of Xi_{k+1} is total - Xi_0 + Xi_K >= total - Xi_0",
                Xi_0,
                (1 - rate) * total - K * inflow + slack(Xi_0),
            ),
            *assumptions,
        ),
    )


def bound_of_gradients(disagreement: Expr, terms: dict[str, Expr]) -> Inequality:
    """The mean squared gradient, from `descent` and ``disagreement``, a bound on the sum of Xi_k."""
    return Inequality(
        "bound",
        "descent summed over k < K; f >= f*; sum of disagreements; divided by alpha K / 2",
        (gap_0 + PULL * disagreement + K * NOISE) / (alpha * K / 2),
        sympy.Add(*terms.values()),
        (),
    )


def steps_of(
    contraction: Inequality,
    consensus: Inequality,
    rate: Expr,
    inflow: Expr,
    total: Expr,
    terms: dict[str, Expr],
) -> tuple[Inequality, ...]:
    """All steps of a bound whose Xi has one recursion, ``consensus``: Xi_{k+1} <= rate Xi_k + inflow."""
    return (
        descent(),
        contraction,
        spread_of_gradients(),
        consensus,
        sum_of_disagreements(rate, inflow, total, BELOW_1),
        bound_of_gradients(total, terms),
    )
