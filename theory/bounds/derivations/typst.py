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
    def _print_Symbol(self, expr: sympy.Symbol) -> str:
        return IN_TYPST.get(expr, expr.name)

    def _print_Mul(self, expr: sympy.Mul) -> str:
        if expr.could_extract_minus_sign():
            return f"-{self.parenthesize(-expr, PRECEDENCE['Mul'])}"
        numerator, denominator = sympy.fraction(expr)
        if denominator != 1:
            return f"({self._print(numerator)})/({self._print(denominator)})"
        return " ".join(self.parenthesize(each, PRECEDENCE["Mul"]) for each in expr.as_ordered_factors())

    def _print_Pow(self, expr: sympy.Pow, rational: bool = False) -> str:
        numerator, denominator = sympy.fraction(expr)
        if denominator != 1:
            return f"{self._print(numerator)}/({self._print(denominator)})"
        if expr.exp == sympy.Rational(1, 2):
            return f"sqrt({self._print(expr.base)})"
        return f"{self.parenthesize(expr.base, PRECEDENCE['Pow'])}^({self._print(expr.exp)})"
