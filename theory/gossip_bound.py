"""The convergence bound of decentralized SGD that merges at every step, derived step by step.

Setting (Lian et al. 2017; Koloskova et al. 2020): X <- Pi X - alpha G(X), with losses that are L-smooth,
stochastic gradients with variance at most sigma^2 for each agent, heterogeneity at most kappa^2, and a
symmetric doubly stochastic Pi whose second largest absolute eigenvalue is sqrt(rho) < 1. Xi is the mean
squared distance of the agents' parameters from their mean.

Each step states an inequality. What its assumptions say is written with nonnegative slack variables, so
that the step follows if right side minus left side is, term by term, nonnegative: sympy decides that.
"""

from collections.abc import Callable
from dataclasses import dataclass

import sympy
from sympy import Expr, Symbol

L, alpha, sigma, kappa, N, K = sympy.symbols("L alpha sigma kappa N K", positive=True)
s = Symbol("s", positive=True)  # sqrt(rho)
Xi, Xi_0, gap_0 = sympy.symbols("Xi Xi_0 gap_0", nonnegative=True)  # gap_0 = f(xbar_0) - f*

# Slack variables: what the assumptions leave over.
u, v, w = sympy.symbols("u v w", nonnegative=True)
q = Symbol("q", positive=True)  # s = 1 / (1 + q) < 1
d, e = sympy.symbols("d e", nonnegative=True)


@dataclass(frozen=True)
class Step:
    """One inequality ``left`` <= ``right`` and what it rests on.

    ``assumptions`` replace symbols by expressions in slack variables, which are nonnegative.
    """

    name: str
    because: str
    left: Expr
    right: Expr
    assumptions: tuple[tuple[Symbol, Expr], ...]

    def follows(self) -> bool:
        """Whether right - left is a sum of terms that are all nonnegative under the assumptions."""
        difference = self.right - self.left
        for symbol, expression in self.assumptions:
            difference = difference.subs(symbol, expression)
        numerator, denominator = sympy.fraction(sympy.together(sympy.simplify(difference)))
        terms = sympy.Add.make_args(sympy.expand(numerator))
        return denominator.is_positive is True and all(term.is_nonnegative for term in terms)


# |grad f(xbar)|^2, |mean of the agents' gradients|^2, and the squared distance between the two.
at_mean, of_agents, apart = sympy.symbols("at_mean of_agents apart", nonnegative=True)

DESCENT_RATE = alpha / 2
"""Factor of the squared gradient in one step's descent."""
RATE = (1 + s) / 2
"""Factor of Xi in one step's consensus recursion."""
INFLOW = alpha**2 * (2 * kappa**2 / (1 - s) + sigma**2)
"""What one step adds to Xi."""

YOUNG = 1 / s - 1
"""Parameter theta of Young's inequality |a + b|^2 <= (1 + theta) |a|^2 + (1 + 1/theta) |b|^2."""


def derivation() -> list[Step]:
    """All steps, from one update to the bound on K of them; f(xbar_k) - f(xbar_{k+1}) is left out of 1."""
    half_gap = (q / (1 + q) / (2 * L)) / (1 + v)  # any step size up to (1 - s) / (2 L)
    contraction = sympy.Symbol("C", positive=True)  # RATE to the power K, in (0, 1]
    spread = 2 * L**2 * Xi + 2 * kappa**2 - e  # of the agents' gradients around their mean
    total = Xi_0 * (1 - contraction) / (1 - RATE) + INFLOW / (1 - RATE) * (K - (1 - contraction) / (1 - RATE))
    disagreement = (2 / (1 - s)) * (Xi_0 + K * INFLOW)
    return [
        Step(
            "1 descent",
            "L-smoothness; <a, b> = (|a|^2 + |b|^2 - |a - b|^2) / 2; noise is unbiased and independent; "
            "agents' gradients are within L^2 Xi of the mean's (Jensen); alpha <= 1/L",
            -alpha / 2 * (at_mean + of_agents - apart) + alpha**2 * L / 2 * (of_agents + sigma**2 / N),
            -DESCENT_RATE * at_mean + alpha * L**2 / 2 * Xi + alpha**2 * L * sigma**2 / (2 * N),
            ((apart, L**2 * Xi / (1 + d)), (alpha, 1 / (L * (1 + u)))),
        ),
        Step(
            "2 consensus",
            "Pi - J contracts by sqrt(rho); Young with 1/sqrt(rho) - 1; the spread of the agents' gradients "
            "is at most 2 L^2 Xi + 2 kappa^2; alpha <= (1 - sqrt(rho)) / (2 L)",
            (1 + YOUNG) * s**2 * Xi + (1 + 1 / YOUNG) * alpha**2 * spread + alpha**2 * sigma**2,
            RATE * Xi + INFLOW,
            ((alpha, half_gap), (s, 1 / (1 + q))),
        ),
        Step(
            "3 sum of disagreements",
            "Xi_k <= RATE^k Xi_0 + INFLOW (1 - RATE^k) / (1 - RATE), summed over k < K",
            total,
            disagreement,
            ((s, 1 / (1 + q)), (contraction, 1 / (1 + w))),
        ),
        Step(
            "4 bound",
            "step 1 summed over k < K, f >= f*, step 3; divided by alpha K / 2",
            (gap_0 + alpha * L**2 / 2 * disagreement + K * alpha**2 * L * sigma**2 / (2 * N))
            / (K * DESCENT_RATE),
            sum(terms().values()),
            ((s, 1 / (1 + q)),),
        ),
    ]


def terms() -> dict[str, Expr]:
    """The bound on the mean over k < K of E |grad f(xbar_k)|^2, term by term."""
    return {
        "initial gap": 2 * gap_0 / (alpha * K),
        "noise": alpha * L * sigma**2 / N,
        "initial disagreement": 2 * L**2 * Xi_0 / ((1 - s) * K),
        "heterogeneity": 4 * alpha**2 * L**2 * kappa**2 / (1 - s) ** 2,
        "noise through disagreement": 2 * alpha**2 * L**2 * sigma**2 / (1 - s),
    }


def largest_step_size(smoothness: float, second_eigenvalue: float) -> float:
    """The largest admissible alpha: (1 - sqrt(rho)) / (2 L), which is below 1 / L."""
    return (1 - second_eigenvalue) / (2 * smoothness)


ARGUMENTS = (alpha, L, sigma, kappa, N, K, s, gap_0, Xi_0)

bound: Callable[..., float] = sympy.lambdify(ARGUMENTS, sum(terms().values()), "math")
"""The bound as a function of alpha, L, sigma, kappa, N, K, sqrt(rho), f(xbar_0) - f*, Xi_0."""
