"""Rates and constants, method by method: what is derived here, and what is published. Nothing is trained."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import sympy
from sympy import Expr
from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.shown import PaperTable
from theory.bounds.derivations import DERIVATIONS
from theory.bounds.derivations.published import PUBLISHED_RATES
from theory.bounds.derivations.symbols import K, N, alpha
from theory.bounds.derivations.typst import typst

if TYPE_CHECKING:
    from pandas import DataFrame

STEP_SIZE = sympy.sqrt(N / K)
"""At which rates are compared: that of SGP's paper, and of others."""
COLUMNS = ["method", "source", "slowest terms", "next", "step size at most, or where it holds"]
LINEAR_SPEED_UP = sympy.Rational(-1, 2)
"""The power of K in 1 / sqrt(N K)."""


def power_of_steps(term: Expr) -> Expr:
    """The power of K in a ``term``, which is a product of one and of what does not depend on K."""
    _, of_steps = term.as_independent(K, as_Add=False)
    base, power = of_steps.as_base_exp()
    if base not in (K, sympy.Integer(1)):
        raise ValueError(f"{term} is no power of K")
    return power if base == K else sympy.Integer(0)


def split(terms: Iterable[Expr]) -> tuple[Expr, list[Expr], Expr | None]:
    """What falls more slowly than 1 / sqrt(K), what falls so, times sqrt(N K), and the next power of K."""
    powers = [(power_of_steps(term), term) for term in terms]
    floor = sum((term for power, term in powers if power > LINEAR_SPEED_UP), sympy.Integer(0))
    scaled = [term * sympy.sqrt(N * K) for power, term in powers if power == LINEAR_SPEED_UP]
    rest = [power for power, _ in powers if power < LINEAR_SPEED_UP]
    return floor, scaled, K ** max(rest) if rest else None


def shown(terms: Iterable[Expr]) -> tuple[str, str]:
    """What `split` finds, in Typst."""
    floor, scaled, rest = split(terms)
    parts = [typst(floor)] if floor != 0 else []
    parts += [f"({' + '.join(map(typst, scaled))})/sqrt(N K)"] if scaled else []
    return " + ".join(parts), "" if rest is None else f"${typst(rest)}$"


def cited(source: str) -> str:
    """Who published it, and where: without what else is said of it."""
    found = re.match(r".*?arXiv [0-9]+\.[0-9]+", source)
    return found[0] if found else source


class RatesTable(PaperTable):
    """How fast each method converges."""

    kind = "rates"

    @override
    def caption(self) -> str:
        return (
            "Rates and constants of the mean over steps of the squared gradient at the agents' mean. Derived "
            "here, each step checked by machine: the terms that fall most slowly in the number of steps $K$, "
            f"with all constants, at a step size of ${typst(STEP_SIZE)}$; the power of $K$ of the next ones; "
            "the largest admissible step sizes. Published: orders, up to constants, as known of the papers."
        )

    @override
    def reads(self, layout: Layout) -> list[Path]:
        return []

    @override
    def rows(self, layout: Layout) -> "DataFrame":
        import pandas

        found = []
        for bound in (each for each in DERIVATIONS.values() if not each.sharpens):
            terms, rest = shown(cast(Expr, term.subs(alpha, STEP_SIZE)) for term in bound.terms.values())
            limits = ", ".join(f"${typst(limit)}$" for limit in bound.step_sizes.values())
            found.append([bound.title, "derived here", f"${terms}$", rest, limits])
        for rate in PUBLISHED_RATES.values():
            terms, rest = shown(rate.orders.values())
            found.append([rate.title, cited(rate.source), f"$cal(O)({terms})$", rest, rate.holds])
        return pandas.DataFrame(found, columns=COLUMNS)
