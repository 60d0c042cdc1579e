"""Derivations with one thing changed: does the check reject what is no longer a proof?

In every step, and every axiom, of every derivation: a factor is dropped, a symbol is swapped for another, a
sign is flipped, a part is scaled. Lemmas go by name, so a changed step changes what later ones quote, and the
sum of the terms is changed with the step that concludes: only what is wrong in itself is rejected.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy
import sympy
from sympy import Add, Expr, Mul, Pow, Symbol, lambdify

from theory.bounds.derivations.derivation import BOUND, DISAGREEMENT, RATE, Derivation
from theory.bounds.derivations.facts import Axiom
from theory.bounds.derivations.inequality import Inequality
from theory.bounds.derivations.instances import holds
from theory.bounds.derivations.symbols import (
    TABLE,
    K,
    L,
    M,
    N,
    Xi_0,
    alpha,
    beta,
    c,
    gap_0,
    j,
    kappa,
    m,
    s,
    sigma,
    tau,
)

Kind = Literal["factor dropped", "symbol swapped", "sign flipped", "scaled"]
SWAPS = {sigma: kappa, kappa: sigma, alpha: K, K: alpha, s: beta, beta: s, m: M, M: m}
"""What a symbol is taken for. Others are taken for the step size."""
POINTS = 40
"""At which a changed statement is compared with the right one."""
Outcome = Literal["rejected", "not stronger", "SURVIVED"]
"""A change that makes a statement nowhere stronger leaves a proof a proof, of less or of the same."""


@dataclass(frozen=True)
class Mutant:
    """A derivation in which ``kind`` was done to the side of ``place``, and what its check finds."""

    derivation: Derivation
    place: str
    kind: Kind
    before: Expr
    after: Expr

    @property
    def outcome(self) -> Outcome:
        """What the check finds."""
        if rejected(self.derivation):
            return "rejected"
        return "not stronger" if self.nowhere_below() else "SURVIVED"

    def nowhere_below(self) -> bool:
        """Whether the changed right side is nowhere below the right one, at admissible constants."""
        names = sorted(str(each) for each in self.before.free_symbols | self.after.free_symbols)
        symbols = [TABLE[name] for name in names]
        of = lambdify(symbols, [self.after, self.before], "math")
        generator = numpy.random.default_rng(0)
        for _ in range(POINTS):
            values = self._drawn(generator)
            one, other = of(*(values.get(each, _size(each, generator)) for each in symbols))
            if one < other - 1e-9 * (abs(one) + abs(other)):
                return False
        return True

    def _drawn(self, generator: numpy.random.Generator) -> dict[Symbol, float]:
        """Constants that are admissible; a step size of any share of the largest."""
        least, steps = _size(m, generator), int(generator.integers(1, 20))
        found = {each: float(generator.uniform(0, 1)) for each in (s, beta, c)}
        found |= {each: _size(each, generator) for each in (L, sigma, kappa, gap_0, Xi_0)}
        found |= {m: least, M: least * float(generator.uniform(1, 3)), N: float(generator.integers(1, 50))}
        found |= {
            tau: steps,
            K: steps * float(generator.integers(1, 50)),
            j: float(generator.integers(0, steps)),
        }
        limits = [float(limit.subs({**found})) for limit in self.derivation.step_sizes.values()]
        return found | {alpha: min(limits) * float(generator.uniform(0.01, 0.999))}


def mutants(derivation: Derivation) -> Iterator[Mutant]:
    """All of a derivation: those of the right sides of its steps, then those of its axioms."""
    for place, step in enumerate(derivation.steps):
        for kind, changed in changes_of(step.right):
            steps = _with(derivation.steps, place, replace(step, right=changed))
            yield Mutant(_concluding(derivation, step, changed, steps), step.name, kind, step.right, changed)
    for axiom in derivation.axioms():
        for kind, changed in changes_of(axiom.right):
            steps = tuple(_assuming(step, axiom, replace(axiom, right=changed)) for step in derivation.steps)
            of = replace(derivation, steps=steps)
            yield Mutant(of, f"axiom: {axiom.name}", kind, axiom.right, changed)


def rejected(derivation: Derivation) -> bool:
    """Whether a derivation is no proof, or rests on what an instance contradicts."""
    if not all(holds(axiom, derivation.about) for axiom in derivation.axioms()):
        return True
    return next(derivation.found(), "") != ""


def changes_of(expression: Expr) -> Iterator[tuple[Kind, Expr]]:
    """Everything that one change makes of an expression, each once."""
    seen = {expression}
    for kind, changed in _changes(expression):
        if changed not in seen and not changed.has(sympy.nan, sympy.zoo, sympy.oo):
            seen.add(changed)
            yield kind, changed


def _changes(expression: Expr) -> Iterator[tuple[Kind, Expr]]:
    if isinstance(expression, Symbol):
        yield "symbol swapped", SWAPS.get(expression, alpha)
    if isinstance(expression, Mul):
        for factor in expression.args:
            yield "factor dropped", cast(Expr, expression / factor)
    if isinstance(expression, Pow) and expression.exp.is_Integer and expression.exp != 1:
        yield "factor dropped", expression.base ** (expression.exp - sympy.sign(expression.exp))
    if isinstance(expression, Add):
        for term in expression.args:
            yield "sign flipped", cast(Expr, expression - 2 * term)
    if not expression.is_number:
        yield "scaled", expression * sympy.Rational(9, 10)
    for place, part in enumerate(expression.args):
        for kind, changed in _changes(cast(Expr, part)):
            yield kind, expression.func(*_with(expression.args, place, changed))


def _with(parts: Iterable[object], place: int, part: object) -> tuple:
    return tuple(part if at == place else each for at, each in enumerate(parts))


def _concluding(
    derivation: Derivation, step: Inequality, right: Expr, steps: tuple[Inequality, ...]
) -> Derivation:
    """The derivation of what the changed step says, where that is its conclusion."""
    if step.name == BOUND:
        at = derivation.speed_up
        steps = tuple(
            replace(each, left=right.subs(alpha, at)) if each.name == RATE and at is not None else each
            for each in steps
        )
        return replace(derivation, steps=steps, terms={"all": right})
    if step.name == DISAGREEMENT and derivation.disagreement is not None:
        return replace(derivation, steps=steps, disagreement=right / K)
    return replace(derivation, steps=steps)


def _assuming(step: Inequality, axiom: Axiom, instead: Axiom) -> Inequality:
    return replace(
        step, uses=tuple(replace(use, fact=instead) if use.fact == axiom else use for use in step.uses)
    )


def _size(symbol: Symbol, generator: numpy.random.Generator) -> float:
    """Any size, and a sign if it may have one."""
    size = float(10 ** generator.uniform(-2, 2))
    return size if symbol.is_nonnegative else size * float(generator.choice([-1, 1]))
