"""One inequality, a step of a derivation, and the machine check that it follows from its assumptions."""

from dataclasses import dataclass

import sympy
from sympy import Expr, Symbol


@dataclass(frozen=True)
class Assumption:
    """A statement in words, and the same said by writing ``symbol`` with its slack variable.

    x <= y is x = y - slack(x), or y / (1 + slack(x)) where x > 0. Every symbol has a slack variable of its
    own: one in common would say more than the two statements.
    """

    text: str
    symbol: Symbol
    value: Expr


def slack(symbol: Symbol) -> Symbol:
    """What an assumption on ``symbol`` leaves over, at least 0."""
    return Symbol(f"slack_{symbol}", nonnegative=True)


def at_most(symbol: Symbol, limit: Expr, text: str) -> Assumption:
    """``symbol`` <= ``limit``; ``text`` says why."""
    return Assumption(
        text, symbol, limit / (1 + slack(symbol)) if symbol.is_positive else limit - slack(symbol)
    )


@dataclass(frozen=True)
class Inequality:
    """The inequality ``left`` <= ``right``; its assumptions replace symbols, one after the other."""

    name: str
    because: str
    left: Expr
    right: Expr
    assumptions: tuple[Assumption, ...]

    def follows(self) -> bool:
        """Whether right - left is a sum of terms that are all nonnegative under the assumptions.

        True is a proof. False may also mean that the difference is nonnegative in a way that this cannot see.
        """
        difference = self.right - self.left
        for assumption in self.assumptions:
            difference = difference.subs(assumption.symbol, assumption.value)
        symbols = sorted(sympy.Tuple(self.left, self.right, difference).free_symbols, key=str)
        fraction = sympy.field(symbols, sympy.QQ)[0].from_expr(difference)
        numerator, denominator = (
            sympy.Add.make_args(part.as_expr()) for part in (fraction.numer, fraction.denom)
        )
        nonnegative = all(term.is_nonnegative for term in (*numerator, *denominator))
        return nonnegative and any(term.is_positive for term in denominator)
