"""Ranges of symbols, and what is nonnegative or positive in all of them: by nonnegative coefficients.

Each range writes its symbol with a variable of its own that may be any number at least 0 (above 0, where the
end is left out), so that all values of the range are met, and no others. An expression is then a fraction of
polynomials; if none of their coefficients is negative, the expression is not either. No common factor is
divided out before every denominator is shown to be positive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import Literal, cast

import sympy
from sympy import Basic, Expr, Pow, Symbol
from sympy.polys.polyerrors import PolynomialError


class CheckError(ValueError):
    """A step, a fact or a range that is not what it says."""


@dataclass(frozen=True)
class Range:
    """``symbol`` is at most, below, or at least ``limit``, which is positive; or it is a square.

    Words are generated, so that they say what is used.
    """

    symbol: Symbol
    relation: Literal["<=", "<", ">=", "is the square of its root"]
    limit: Expr = sympy.S.One

    @property
    def text(self) -> str:
        """In words."""
        if self.relation == "is the square of its root":
            return f"{self.symbol} {self.relation}"
        return f"{'0 <= ' * (not self.symbol.is_positive)}{self.symbol} {self.relation} {self.limit}"

    @cached_property
    def value(self) -> Expr:
        """The symbol written with a variable of its own: all of the range, and nothing else."""
        strict = self.relation == "<" and bool(self.symbol.is_positive)
        own = sympy.Dummy(f"of_{self.symbol}", **{"positive" if strict else "nonnegative": True})
        if self.relation == ">=":
            return self.limit + own
        if self.relation == "is the square of its root":
            return sympy.Dummy(f"root_{self.symbol}", positive=True) ** 2
        if self.symbol.is_positive:
            return self.limit / (1 + own)
        if self.relation == "<":
            return self.limit * own / (1 + own)
        raise CheckError(f"{self.symbol} <= {self.limit}: only symbols above 0 have such a range")


class Domain:
    """All values of symbols in ``ranges``, which are put in one after the other; others are free."""

    def __init__(self, ranges: tuple[Range, ...]) -> None:
        self.ranges = ranges
        self.known: dict[Basic, bool] = {}
        symbols = [each.symbol for each in ranges]
        if twice := [str(each) for each in symbols if symbols.count(each) > 1]:
            raise CheckError(f"{twice[0]}: has two ranges in one step")
        for place, each in enumerate(ranges):
            if each.symbol in each.limit.free_symbols or set(symbols[:place]) & each.limit.free_symbols:
                raise CheckError(f"{each.text}: its limit has a symbol that is not free there")
            if not self.positive(each.limit):
                raise CheckError(f"{each.text}: the limit is not shown to be above 0")

    def nonnegative(self, expression: Expr) -> bool:
        """Whether ``expression`` is shown to be nonnegative, and to have no pole, in the whole domain."""
        if not self.defined(expression):
            return False
        inside = self._inside(expression)
        return not _below_0_somewhere(inside) and _sign(inside, strict=False)

    def positive(self, expression: Expr) -> bool:
        """The same for positive."""
        return self.defined(expression) and _sign(self._inside(expression), strict=True)

    def _inside(self, expression: Expr) -> Expr:
        for each in self.ranges:
            expression = put(expression, {each.symbol: each.value})
        return expression

    def defined(self, expression: Expr) -> bool:
        """Whether no denominator in ``expression`` is 0 anywhere in the domain."""
        bases = {
            each.base
            for each in sympy.preorder_traversal(expression)
            if isinstance(each, Pow) and each.exp.is_negative
        }
        return all(map(self._apart_from_0, bases)) and not expression.has(sympy.zoo, sympy.nan, sympy.oo)

    def _apart_from_0(self, base: Basic) -> bool:
        """Whether ``base`` is shown to be positive, or negative, everywhere."""
        if base not in self.known:
            inside = self._inside(cast(Expr, base))
            self.known[base] = bool(
                base.is_positive or _sign(inside, strict=True) or _sign(-inside, strict=True)
            )
        return self.known[base]


@lru_cache(maxsize=2**8)
def domain(ranges: tuple[Range, ...]) -> Domain:
    """All values of symbols in ``ranges``; what was shown of one is kept."""
    return Domain(ranges)


def put(expression: Expr, values: Mapping[Symbol, Expr]) -> Expr:
    """``expression`` with values in place of symbols, and nothing evaluated in between."""
    return cast(Expr, expression.xreplace({**values}))


def _sign(expression: Expr, *, strict: bool) -> bool:
    symbols = sorted(expression.free_symbols, key=str)
    try:
        rooted = any(not each.exp.is_Integer for each in expression.atoms(Pow))
        plain = sympy.powdenest(expression) if rooted else expression
        fraction = sympy.field(symbols, sympy.QQ)[0].from_expr(plain)
    except (ValueError, PolynomialError, ZeroDivisionError):
        return False  # not a fraction of polynomials with rational coefficients
    above, below = fraction.numer, fraction.denom
    if below.LC < 0:
        above, below = -above, -below
    return _all_nonnegative(above, symbols, strict) and _all_nonnegative(below, symbols, strict=True)


def _below_0_somewhere(expression: Expr) -> bool:
    """Whether it is at one of a few points: then there is no need to expand it."""
    symbols = sorted(expression.free_symbols, key=str)
    for factor in (0.3, 1.0, 7.0):
        known: dict[Basic, float] = {each: factor * (1 + place % 5) for place, each in enumerate(symbols)}
        try:
            terms = [_at(each, known) for each in sympy.Add.make_args(expression)]
        except (ValueError, ZeroDivisionError, OverflowError):
            continue
        if sum(terms) < -1e-6 * sum(map(abs, terms)):
            return True
    return False


def _at(expression: Basic, known: dict[Basic, float]) -> float:
    """Its number where those of symbols are ``known``, to which those of all its parts are added.

    `sympy.lambdify` would write and compile a program for each expression, which takes twenty times as long.
    `ValueError` where it is no real number.
    """
    if expression not in known:
        parts = [_at(each, known) for each in expression.args]
        match expression:
            case sympy.Add():
                found = sum(parts)
            case sympy.Mul():
                found = prod(parts)
            case Pow():
                found = parts[0] ** parts[1]
            case _:
                found = float(cast(Expr, expression.func(*parts) if parts else expression))
        if isinstance(found, complex):
            raise ValueError(f"{expression}: is no real number here")
        known[expression] = found
    return known[expression]


def _all_nonnegative(polynomial: sympy.Poly, symbols: Sequence[Basic], strict: bool) -> bool:
    """Whether no term is negative anywhere and, if ``strict``, one is positive everywhere."""
    some = False
    for powers, coefficient in polynomial.terms():
        used = [each for each, power in zip(symbols, powers, strict=True) if power % 2]
        if coefficient < 0 or not all(each.is_nonnegative for each in used):
            return False
        present = [each for each, power in zip(symbols, powers, strict=True) if power]
        some |= all(each.is_positive for each in present)
    return some or not strict
