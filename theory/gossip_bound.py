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
s = Symbol("s", nonnegative=True)  # sqrt(rho); 0 for the complete graph
Xi, Xi_0, gap_0 = sympy.symbols("Xi Xi_0 gap_0", nonnegative=True)  # gap_0 = f(xbar_0) - f*

# Slack variables: what the assumptions leave over.
u, v, w, d, e = sympy.symbols("u v w d e", nonnegative=True)
BELOW_1 = (s, v / (1 + v))
"""0 <= sqrt(rho) < 1."""
BELOW_1_NOT_0 = (s, 1 / (1 + Symbol("q", positive=True)))
"""0 < sqrt(rho) < 1."""


@dataclass(frozen=True)
class Step:
    """One inequality ``left`` <= ``right`` and what it rests on.

    ``assumptions`` replace symbols, one after the other, by expressions in nonnegative variables.
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


# Squared norms and inner products of vectors a and b; of the gradient at the mean (at_mean) and the mean of
# the agents' gradients (of_agents), and the squared distance between the two (apart).
aa, bb, at_mean, of_agents, apart = sympy.symbols("aa bb at_mean of_agents apart", nonnegative=True)
ab, inner = sympy.symbols("ab inner", real=True)
theta, square = Symbol("theta", positive=True), Symbol("square", nonnegative=True)
spread = Symbol("spread", nonnegative=True)  # of the agents' gradients around their mean
power = Symbol("power", positive=True)  # RATE^k, in (0, 1]

YOUNG = 1 / s - 1
"""Parameter theta of Young's inequality |a + b|^2 <= (1 + theta) |a|^2 + (1 + 1/theta) |b|^2."""
PULL = alpha * L**2 / 2
"""What a unit of Xi costs in one step's descent."""
NOISE = alpha**2 * L * sigma**2 / (2 * N)
"""What the noise costs in one step's descent."""
RATE = (1 + s) / 2
"""Factor of Xi in one step's consensus recursion."""
INFLOW = alpha**2 * (2 * kappa**2 / (1 - s) + sigma**2)
"""What one step adds to Xi."""
TOTAL_DISAGREEMENT = (2 / (1 - s)) * (Xi_0 + K * INFLOW)
"""The bound on the sum of Xi_k over k < K."""


def unrolled(power: Expr) -> Expr:
    """The bound on Xi_k, given RATE^k."""
    return power * Xi_0 + INFLOW * (1 - power) / (1 - RATE)


def summed(power: Expr, steps: Expr) -> Expr:
    """The sum of `unrolled` over k < ``steps``, given RATE^steps."""
    return Xi_0 * (1 - power) / (1 - RATE) + INFLOW / (1 - RATE) * (steps - (1 - power) / (1 - RATE))


def derivation() -> list[Step]:
    """All steps, from one update to the bound on K of them; f(xbar_k) - f(xbar_{k+1}) is left out of 1."""
    nothing = sympy.Integer(0)
    return [
        Step(
            "1 descent",
            "L-smoothness; noise is unbiased and independent; |a - b|^2 = |a|^2 - 2 <a, b> + |b|^2; the mean "
            "of the agents' gradients is at most L^2 Xi from the gradient at the mean (Jensen); alpha <= 1/L",
            -alpha * inner + alpha**2 * L / 2 * (of_agents + sigma**2 / N),
            -alpha / 2 * at_mean + PULL * Xi + NOISE,
            ((inner, (at_mean + of_agents - apart) / 2), (apart, L**2 * Xi - d), (alpha, 1 / (L * (1 + u)))),
        ),
        Step(
            "2a Young's inequality",
            "|theta a - b|^2 >= 0, for every theta > 0",
            aa + 2 * ab + bb,
            (1 + theta) * aa + (1 + 1 / theta) * bb,
            ((ab, (theta**2 * aa + bb - square) / (2 * theta)),),
        ),
        Step(
            "2b contraction",
            "Pi - J contracts by sqrt(rho) > 0; theta = 1/sqrt(rho) - 1 in 2a",
            (1 + YOUNG) * s**2 * Xi + (1 + 1 / YOUNG) * alpha**2 * spread,
            s * Xi + alpha**2 * spread / (1 - s),
            (BELOW_1_NOT_0,),
        ),
        Step(
            "2b contraction, rho = 0",
            "Pi = J leaves the gradients alone",
            alpha**2 * spread,
            s * Xi + alpha**2 * spread / (1 - s),
            ((s, nothing),),
        ),
        Step(
            "2c spread of the agents' gradients",
            "distances from any other point than the mean are larger, so take the gradient at the mean; 2a "
            "with theta = 1; L-smoothness: at most L^2 Xi on average; heterogeneity: at most kappa^2",
            aa + 2 * ab + bb - u,
            2 * L**2 * Xi + 2 * kappa**2,
            ((ab, (aa + bb - square) / 2), (aa, L**2 * Xi - d), (bb, kappa**2 - e)),
        ),
        Step(
            "2 consensus",
            "2b, 2c, noise is unbiased with variance at most sigma^2; alpha <= (1 - sqrt(rho)) / (2 L)",
            s * Xi + alpha**2 * spread / (1 - s) + alpha**2 * sigma**2,
            RATE * Xi + INFLOW,
            ((spread, 2 * L**2 * Xi + 2 * kappa**2 - e), (alpha, (1 - s) / (2 * L * (1 + u))), BELOW_1),
        ),
        Step("3a start", "RATE^0 = 1", Xi_0, unrolled(sympy.Integer(1)), (BELOW_1,)),
        Step(
            "3b induction",
            "2, if Xi_k <= RATE^k Xi_0 + INFLOW (1 - RATE^k) / (1 - RATE)",
            RATE * unrolled(power) + INFLOW,
            unrolled(RATE * power),
            (BELOW_1,),
        ),
        Step("3c sum of none", "K = 0", nothing, summed(sympy.Integer(1), nothing), (BELOW_1,)),
        Step(
            "3d sum of one more",
            "the geometric sum, by induction in K",
            summed(power, K) + unrolled(power),
            summed(RATE * power, K + 1),
            (BELOW_1,),
        ),
        Step(
            "3 sum of disagreements",
            "3a to 3d; 0 < RATE^K <= 1",
            summed(power, K),
            TOTAL_DISAGREEMENT,
            (BELOW_1, (power, 1 / (1 + w))),
        ),
        Step(
            "4 bound",
            "step 1 summed over k < K, f >= f*, step 3; divided by alpha K / 2",
            (gap_0 + PULL * TOTAL_DISAGREEMENT + K * NOISE) / (alpha * K / 2),
            sum(terms().values()),
            (BELOW_1,),
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

disagreement_bound: Callable[..., float] = sympy.lambdify(ARGUMENTS, TOTAL_DISAGREEMENT / K, "math")
"""The bound of step 3 on the mean of Xi_k over k < K, of the same arguments."""
