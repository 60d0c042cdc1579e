"""Rates as published, for comparison: orders of terms, up to constants that are not repeated here.

They were not compared with the wording of the papers, and nothing is decided by them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sympy
from sympy import Expr

from theory.bounds.derivations.inequality import Inequality
from theory.bounds.derivations.koloskova import COMPARISON, ORDERS
from theory.bounds.derivations.symbols import IN_LATEX, K, N, in_rho


@dataclass(frozen=True)
class Rate:
    """The mean over k < K of E |grad f(xbar_k)|^2 is at most the sum of ``orders``, up to a constant.

    The step size is the one that ``source`` chooses, for K gradient steps; ``holds`` says when.
    ``comparison`` has steps that relate a derivation to it.
    """

    key: str
    title: str
    source: str
    holds: str
    orders: Mapping[str, Expr]
    comparison: tuple[Inequality, ...] = ()

    def latex(self) -> str:
        """The order in LaTeX."""
        orders = " + ".join(
            sympy.latex(in_rho(order), symbol_names=IN_LATEX) for order in self.orders.values()
        )
        return rf"\mathcal{{O}}\left({orders}\right)"


LINEAR_SPEED_UP = 1 / sympy.sqrt(N * K)
"""Orders in N and K alone leave L, sigma, kappa, rho and the initial gap to the constant."""

PUBLISHED_RATES = {
    rate.key: rate
    for rate in (
        Rate(
            "koloskova",
            "decentralized SGD with local steps",
            "Koloskova, Loizou, Boreiri, Jaggi and Stich 2020, arXiv 2003.10422, solved "
            "for the accuracy after K steps; noise and heterogeneity bounded uniformly (M = P = 0 there)",
            "step size tuned to K; one symmetric doubly stochastic merge every tau steps: p = 1 - rho",
            ORDERS,
            COMPARISON,
        ),
        Rate(
            "dpsgd",
            "D-PSGD",
            "Lian, Zhang, Zhang, Hsieh, Zhang and Liu 2017, arXiv 1705.09056",
            "K large enough, depending on N and rho; a common start",
            {"initial gap": 1 / K, "noise": LINEAR_SPEED_UP},
        ),
        Rate(
            "sgp",
            "SGP",
            "Assran, Loizou, Ballas and Rabbat 2019, arXiv 1811.10792",
            "K large enough, depending on N and the graph; step size sqrt(N / K)",
            {"leading": LINEAR_SPEED_UP},
        ),
        Rate(
            "cga",
            "CGA",
            "Esfandiari et al. 2021, arXiv 2103.02051; only the order of the leading term is quoted",
            "K large enough",
            {"leading": LINEAR_SPEED_UP},
        ),
    )
}
"""Published rates by key."""
