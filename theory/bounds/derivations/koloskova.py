"""The order published for a merge every tau steps, and how `local_steps` compares with it at equal step size.

Koloskova et al. 2020 (arXiv 2003.10422), nonconvex: the number of steps to accuracy epsilon is, up
to a constant, L gap_0 times

    sigma^2 / (N epsilon^2) + (kappa tau + sigma sqrt(p tau)) / (p epsilon^(3/2)) + tau / (p epsilon),

with p = 1 - rho for one merge every tau steps. A step size tuned in

    gap_0 / (alpha K) + alpha L sigma^2 / N + alpha^2 L^2 (tau^2 kappa^2 / p^2 + tau sigma^2 / p)

gives these terms. What `local_steps` has in place of the last is at most a constant times it: the steps below
show that for constants of what is derived here. The paper states none.
"""

import sympy
from sympy import Expr

from theory.bounds.derivations.axioms import BELOW_1
from theory.bounds.derivations.inequality import Inequality
from theory.bounds.derivations.local_steps import AT_LEAST_1, LIMIT, TERMS
from theory.bounds.derivations.symbols import K, L, N, alpha, gap_0, kappa, s, sigma, tau

p = 1 - s**2
"""A merge leaves a share 1 - p = rho of the disagreement."""
ORDERS: dict[str, Expr] = {
    "noise": sympy.sqrt(L * gap_0 * sigma**2 / (N * K)),
    "heterogeneity": (L * gap_0 * kappa * tau / (p * K)) ** sympy.Rational(2, 3),
    "noise through disagreement": (L * gap_0 * sigma * sympy.sqrt(tau / p) / K) ** sympy.Rational(2, 3),
    "initial gap": L * gap_0 * tau / (p * K),
}
"""What is reached after K steps, up to a constant, term by term."""
AT_STEP_SIZE: dict[str, Expr] = {
    "heterogeneity": alpha**2 * L**2 * tau**2 * kappa**2 / p**2,
    "noise through disagreement": alpha**2 * L**2 * tau * sigma**2 / p,
}
"""Orders of the terms before the step size is tuned."""
CONSTANTS = {"heterogeneity": 13, "noise through disagreement": 2}
"""The smallest whole constants of `local_steps` for these orders."""

COMPARISON = (
    *(
        Inequality(
            f"order of {name}",
            f"the term of local_steps is at most {CONSTANTS[name]} times the order",
            TERMS[name],
            CONSTANTS[name] * order,
            (),
            (AT_LEAST_1, BELOW_1),
        )
        for name, order in AT_STEP_SIZE.items()
    ),
    Inequality(
        "order of the step size",
        "p / (8 L tau), p = 1 - rho, is admissible in local_steps",
        p / (8 * L * tau),
        LIMIT,
        (),
        (AT_LEAST_1, BELOW_1),
    ),
)
