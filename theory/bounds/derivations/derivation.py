"""A convergence bound, with the steps that lead to it and the constants that it holds for."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import isfinite

import sympy
from sympy import Expr, Symbol

from dimat.errors import InputError
from theory.bounds.derivations.facts import Axiom
from theory.bounds.derivations.inequality import Inequality
from theory.bounds.derivations.ranges import CheckError, Range
from theory.bounds.derivations.shared import MEAN_SQUARED_GRADIENT, ROOTS, SPEED_UP
from theory.bounds.derivations.symbols import (
    CONSTANTS,
    IN_LATEX,
    K,
    M,
    N,
    alpha,
    beta,
    c,
    in_rho,
    j,
    m,
    s,
    tau,
    total,
)
from theory.bounds.derivations.typst import typst

STANDARD = (
    *(Range(s, "<"), Range(beta, "<"), Range(M, ">=", m)),
    *(Range(tau, ">=", sympy.Integer(1)), Range(tau, ">=", j + 1), Range(c, "<=", sympy.Integer(1))),
)
"""Ranges that every bound may use, as no constants outside of them are accepted."""
OPEN = Range(c, "<")
"""That of what is free, if its end is not closed."""
BOUND, DISAGREEMENT = "bound", "sum of disagreements"
"""The names of the steps that conclude."""
RATE, ENOUGH = "rate", "enough steps"
"""Those of corollaries."""
BELOW = 0.9
"""The largest share that is offered of a limit that is excluded itself, where the bound has a pole."""
SHARES = tuple(0.01 * each for each in range(1, 100))
"""Numbers that are tried for what is free."""
ROUND_OFF = 1e-12
"""How far, relatively, a step size may exceed its limit: both may be computed in different ways."""


@dataclass(frozen=True)
class Derivation:
    """A bound on the mean over k < K of E |grad f(xbar_k)|^2, where xbar_k is the agents' mean at gradient k.

    ``method`` is the rule of `dimat.methods` that it is about, ``measures`` says in words where Xi_k and
    xbar_k are taken, ``excludes`` what the bound does not cover. ``terms`` add up to the bound;
    ``disagreement`` bounds the mean of Xi_k over k < K. ``step_sizes`` are upper limits of alpha, by reason;
    ``sharpens`` is the key of a bound on the same method with larger constants, and ``comparison`` has steps
    that relate both; limits ``excluded`` are not admissible themselves; the bound holds for every number up
    to 1 in place of what is ``free`` (and for 1, if the end is closed), and is taken at the best of some;
    ``speed_up`` is the one of the corollary, if the bound tends to 0 at any.
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
    speed_up: Expr | None = SPEED_UP
    sharpens: str = ""
    excluded: tuple[str, ...] = ()
    free: tuple[Symbol, ...] = ()
    closed_end: bool = True
    comparison: tuple[Inequality, ...] = ()

    @property
    def about(self) -> str:
        """The key of the first bound on the same method."""
        return self.sharpens or self.key

    def problems(self) -> list[str]:
        """What is wrong with the derivation, a sentence each: it proves what it says if nothing is.

        Every step must follow from axioms, squares and earlier steps; "bound" and "sum of disagreements" must
        conclude with the sum of the terms and with the disagreement; the ranges that steps use must be those
        that are checked where numbers are put in; no step may be idle.
        """
        return list(self.found())

    def found(self) -> Iterator[str]:
        """The same, one after the other."""
        yield from self._of_steps()
        yield from self._of_conclusions()
        yield from self._of_ranges()

    def before(self, step: Inequality) -> dict[str, Inequality]:
        """The steps before ``step``, by name."""
        return {each.name: each for each in self.steps[: self.steps.index(step)]}

    def axioms(self) -> tuple[Axiom, ...]:
        """All that is assumed, in the order of its use."""
        facts = (use.fact for step in self.steps for use in step.uses)
        return tuple(dict.fromkeys(fact for fact in facts if isinstance(fact, Axiom)))

    def _of_steps(self) -> Iterator[str]:
        before: dict[str, Inequality] = {}
        for step in self.steps:
            if step.name in before:
                yield f"{step.name}: two steps have this name"
            if problem := found_in(step, tuple(before.items())):
                yield f"{step.name}: {problem}"
            before[step.name] = step
        used = {name for step in self.steps for name in step.quotes()}
        for name in before:
            if name not in (*used, BOUND, DISAGREEMENT, RATE) and not name.startswith(ENOUGH):
                yield f"{name}: is used by no other step"

    def _of_conclusions(self) -> Iterator[str]:
        terms = sympy.Add(*self.terms.values())
        wanted = {BOUND: (MEAN_SQUARED_GRADIENT, terms)}
        if self.disagreement is not None:
            wanted[DISAGREEMENT] = (total, K * self.disagreement)
        found = {step.name: step for step in self.steps}
        for name, (left, right) in wanted.items():
            if name not in found:
                yield f"{name}: is missing"
            elif found[name].left != left or not _is_zero(found[name].right - right):
                yield f"{name}: expected to conclude that {left} is at most {right}"
            elif not right.free_symbols <= CONSTANTS - ({c} - {*self.free}):
                yield f"{name}: expected constants alone in {right}"
        for step in self.comparison:
            if problem := found_in(step, ()):
                yield f"{step.name}: {problem}"
        if self.speed_up is None:
            return
        if RATE not in found or not _is_zero(found[RATE].left - terms.subs(alpha, self.speed_up)):
            yield f"{RATE}: expected to start from the bound, at alpha = {self.speed_up}"
        for what, limit in self.step_sizes.items():
            step = found.get(f"{ENOUGH} for {what}")
            apart = [step.left - self.speed_up**2, step.right - limit**2] if step else [sympy.Integer(1)]
            if not all(map(_is_zero, apart)):
                yield f"{ENOUGH} for {what}: expected that {self.speed_up} is at most {limit}, both squared"

    def _of_ranges(self) -> Iterator[str]:
        allowed = [*STANDARD, *ROOTS, *([] if self.closed_end else [OPEN])]
        allowed += [
            Range(alpha, "<" if reason in self.excluded else "<=", limit)
            for reason, limit in self.step_sizes.items()
        ]
        for step in self.steps:
            for each in step.ranges:
                if each not in allowed and not (step.name.startswith(ENOUGH) and each.symbol == K):
                    yield f"{step.name}: {each.text} is not among what is assumed of the bound"

    def constants(self) -> tuple[Symbol, ...]:
        """The symbols of the bound and of its step sizes, by name, without what is free."""
        expressions = (*self.terms.values(), *self.step_sizes.values())  # disagreement is in the terms
        return tuple(sorted(sympy.Tuple(*expressions).atoms(Symbol) - {*self.free}, key=str))

    def term_values(self, **constants: float) -> dict[str, float]:
        """The terms of the bound; `InputError` unless all constants are given and admissible."""
        values = self._best(sympy.Add(*self.terms.values()), self._admissible(constants))
        return {name: _value(term, values) for name, term in self.terms.items()}

    def bound(self, **constants: float) -> float:
        """The bound on the mean squared gradient; errors as in `term_values`."""
        return sum(self.term_values(**constants).values())

    def disagreement_bound(self, **constants: float) -> float:
        """The bound on the mean of Xi_k; errors as in `term_values`, and if there is none."""
        if self.disagreement is None:
            raise InputError(f"{self.key}: there is no bound on the disagreement")
        return _value(self.disagreement, self._best(self.disagreement, self._admissible(constants)))

    def largest_step_size(self, **constants: float) -> float:
        """The largest admissible alpha, or `BELOW` of what is not; only constants of limits are needed."""
        values = self._checked(constants)
        self._require(sympy.Tuple(*self.step_sizes.values()).atoms(Symbol), values)
        limits = {reason: _value(limit, values) for reason, limit in self.step_sizes.items()}
        return min(limit * (BELOW if reason in self.excluded else 1) for reason, limit in limits.items())

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
            if reason in self.excluded and values[alpha] >= limit * (1 - ROUND_OFF):
                raise InputError(
                    f"alpha: {values[alpha]:g}, expected below {expression}, the limit of {reason}"
                )
        return values

    def _best(self, expression: Expr, values: dict[Symbol, float]) -> dict[Symbol, float]:
        """The constants, with what is free where ``expression`` is smallest, on a grid."""
        used = [each for each in self.free if each in expression.free_symbols]
        if not used:
            return values
        of, numbers = _of_free(expression, tuple(used), tuple(values)), tuple(values.values())
        ends = (1,) if self.closed_end else ()
        grid = product((*SHARES, *ends), repeat=len(used))
        return values | dict(zip(used, min(grid, key=lambda each: of(*each, *numbers)), strict=True))

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


@lru_cache
def _of_free(
    expression: Expr, free: tuple[Symbol, ...], constants: tuple[Symbol, ...]
) -> Callable[..., float]:
    return sympy.lambdify([*free, *constants], expression, "math")


@lru_cache(maxsize=2**12)
def _is_zero(expression: Expr) -> bool:
    return expression == 0 or sympy.cancel(expression) == 0


def found_in(step: Inequality, before: tuple[tuple[str, Inequality], ...]) -> str:
    """What is wrong with a step, after those ``before``; empty if nothing is."""
    quoted = set(step.quotes())
    return _found_in(step, tuple((name, each) for name, each in before if name in quoted))


@lru_cache(maxsize=2**12)
def _found_in(step: Inequality, before: tuple[tuple[str, Inequality], ...]) -> str:
    try:
        return step.problem(dict(before))
    except CheckError as error:
        return str(error)


def _value(expression: Expr, values: Mapping[Symbol, float]) -> float:
    return float(expression.subs({**values}))  # to sympy, keys are of a wider type
