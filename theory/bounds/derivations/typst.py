"""Expressions in Typst's mathematics, for which sympy has no printer."""

import sympy
from sympy import Expr
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter

from theory.bounds.derivations.symbols import IN_TYPST, in_rho


def typst(expression: Expr) -> str:
    """Rational expressions of the shared symbols and their powers."""
    return _Typst().doprint(in_rho(expression))


class _Typst(StrPrinter):
    def _print_Symbol(self, symbol: sympy.Symbol) -> str:
        return IN_TYPST.get(symbol, symbol.name)

    def _print_Mul(self, product: sympy.Mul) -> str:
        if product.could_extract_minus_sign():
            return f"-{self.parenthesize(-product, PRECEDENCE['Mul'])}"
        numerator, denominator = sympy.fraction(product)
        if denominator != 1:
            return f"({self._print(numerator)})/({self._print(denominator)})"
        return " ".join(self.parenthesize(each, PRECEDENCE["Mul"]) for each in product.as_ordered_factors())

    def _print_Pow(self, power: sympy.Pow, rational: bool = False) -> str:
        numerator, denominator = sympy.fraction(power)
        if denominator != 1:
            return f"{self._print(numerator)}/({self._print(denominator)})"
        if power.exp == sympy.Rational(1, 2):
            return f"sqrt({self._print(power.base)})"
        return f"{self.parenthesize(power.base, PRECEDENCE['Pow'])}^({self._print(power.exp)})"
