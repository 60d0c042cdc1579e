"""A convergence bound, with the steps that lead to it and the constants that it holds for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite

import sympy
from sympy import Expr, Symbol

from dimat.errors import InputError
from theory.bounds.derivations.inequality import Inequality
from theory.bounds.derivations.symbols import IN_LATEX, K, M, N, alpha, beta, in_rho, m, s, tau
from theory.bounds.derivations.typst import typst

ROUND_OFF = 1e-12
"""How far, relatively, a step size may exceed its limit: both may be computed in different ways."""


@dataclass(frozen=True)
class Derivation:
    """A bound on the mean over k < K of E |grad f(xbar_k)|^2, where xbar_k is the agents' mean at gradient k.

    ``method`` is the rule of `dimat.methods` that it is about, ``measures`` says in words where Xi_k and
    xbar_k are taken, ``excludes`` what the bound does not cover. ``terms`` add up to the bound;
    ``disagreement`` bounds the mean of Xi_k over k < K. ``step_sizes`` are upper limits of alpha, by reason.
    Constants are passed by their symbols' names (`theory.bounds.derivations.symbols.MEANINGS`).
    """

    key: str
    title: str
    method: str
    source: str
    setting: str
    measures: str
    excludes: str
    steps: tuple[Inequality, ...]
    terms: Mapping[str, Expr]
    disagreement: Expr | None
    step_sizes: Mapping[str, Expr]
    auxiliary: Mapping[Symbol, str] = field(default_factory=dict)

    def follows(self) -> bool:
        """Whether every step does."""
        return all(step.follows() for step in self.steps)

    def constants(self) -> tuple[Symbol, ...]:
        """The symbols of the bound and of its step sizes, by name."""
        expressions = (*self.terms.values(), *self.step_sizes.values())  # disagreement is in the terms
        return tuple(sorted(sympy.Tuple(*expressions).atoms(Symbol), key=str))

    def term_values(self, **constants: float) -> dict[str, float]:
        """The terms of the bound; `InputError` unless all constants are given and admissible."""
        values = self._admissible(constants)
        return {name: _value(term, values) for name, term in self.terms.items()}

    def bound(self, **constants: float) -> float:
        """The bound on the mean squared gradient; errors as in `term_values`."""
        return sum(self.term_values(**constants).values())

    def disagreement_bound(self, **constants: float) -> float:
        """The bound on the mean of Xi_k; errors as in `term_values`, and if there is none."""
        if self.disagreement is None:
            raise InputError(f"{self.key}: there is no bound on the disagreement")
        return _value(self.disagreement, self._admissible(constants))

    def largest_step_size(self, **constants: float) -> float:
        """The largest admissible alpha; only the constants of the limits are needed."""
        values = self._checked(constants)
        self._require(sympy.Tuple(*self.step_sizes.values()).atoms(Symbol), values)
        return min(_value(limit, values) for limit in self.step_sizes.values())

    def latex(self) -> str:
        """The bound in LaTeX, an underbrace for each term."""
        return r"\frac{1}{K} \sum_{k<K} \mathbb{E} \left\|\nabla f(\bar x_k)\right\|^2 \leq " + " + ".join(
            rf"\underbrace{{{sympy.latex(in_rho(term), symbol_names=IN_LATEX)}}}_{{\text{{{name}}}}}"
            for name, term in self.terms.items()
        )

    def typst(self) -> str:
        """The bound in Typst's mathematics, an underbrace for each term."""
        return "1/K sum_(k < K) EE norm(nabla f(overline(x)_k))^2 <= " + " + ".join(
            f'underbrace({typst(term)}, "{name}")' for name, term in self.terms.items()
        )

    def _admissible(self, constants: Mapping[str, float]) -> dict[Symbol, float]:
        values = self._checked(constants)
        self._require(self.constants(), values)
        for reason, expression in self.step_sizes.items():
            limit = _value(expression, values)
            if values[alpha] > limit * (1 + ROUND_OFF):
                raise InputError(
                    f"alpha: {values[alpha]:g} exceeds {expression} = {limit:g}, the limit of {reason}, "
                    f"by {values[alpha] - limit:g}"
                )
        return values

    def _require(self, symbols: Iterable[Symbol], values: Mapping[Symbol, float]) -> None:
        if missing := sorted(map(str, set(symbols) - set(values))):
            names = ", ".join(missing)
            raise InputError(f"{names}: missing; the bound of {self.key} needs values of: {names}")

    def _checked(self, constants: Mapping[str, float]) -> dict[Symbol, float]:
        """The constants by symbol; `InputError` for what no losses, graph or method can have."""
        symbols = {str(symbol): symbol for symbol in self.constants()}
        if unknown := sorted(set(constants) - set(symbols)):
            raise InputError(
                f"{', '.join(unknown)}: no constant of {self.key}, which has {', '.join(symbols)}"
            )
        values = {symbols[name]: value for name, value in constants.items()}
        for symbol, value in values.items():
            if not isfinite(value) or value < 0 or (symbol.is_positive and value == 0):
                least = "above 0" if symbol.is_positive else "at least 0"
                raise InputError(f"{symbol}: {value:g}; expected a number {least}")
            if symbol in (N, K, tau) and value != int(value):
                raise InputError(f"{symbol}: {value:g}; expected a whole number")
        if values.get(s, 0) >= 1:
            raise InputError(f"s: the graph is disconnected: sqrt(rho) is {values[s]:g}, expected below 1")
        if values.get(beta, 0) >= 1:
            raise InputError(f"beta: {values[beta]:g}, expected below 1")
        if {m, M} <= set(values) and values[m] > values[M]:
            raise InputError(f"m: {values[m]:g}, expected at most M = {values[M]:g}")
        if {K, tau} <= set(values) and values[K] % values[tau]:
            raise InputError(f"K: {values[K]:g}, expected a multiple of tau = {values[tau]:g}")
        return values


def _value(expression: Expr, values: Mapping[Symbol, float]) -> float:
    return float(expression.subs({**values}))  # to sympy, keys are of a wider type
