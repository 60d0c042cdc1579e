"""One inequality, a step of a derivation, and the machine check that it follows from what it names.

It is checked by a certificate: each fact that is used gets a factor, which is shown to be nonnegative (unless
the fact is an identity), and right - left minus all facts times their factors is shown to be nonnegative. A
factor is the one that removes a symbol, so that it need not be given. Facts of one symbol add up, as it is
never replaced: none is used twice by stealth.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import sympy
from sympy import Expr, Symbol

from theory.bounds.derivations.facts import Fact, Steps, linear
from theory.bounds.derivations.ranges import CheckError, Range, domain, put
from theory.bounds.derivations.symbols import unknown


@dataclass(frozen=True)
class Use:
    """A fact, used so often that ``removes`` is gone from right - left, or ``times`` its factor."""

    fact: Fact
    removes: Symbol | None = None
    times: Expr | None = None


@dataclass(frozen=True)
class Inequality:
    """The inequality ``left`` <= ``right``, from facts in their order, where symbols are in their ranges."""

    name: str
    because: str
    left: Expr
    right: Expr
    uses: tuple[Use, ...] = ()
    ranges: tuple[Range, ...] = ()

    def quotes(self) -> Iterator[str]:
        """The names of the steps that it uses."""
        return (name for use in self.uses for name in use.fact.quotes())

    def follows(self, before: Steps) -> bool:
        """Whether the certificate is right, with the steps ``before`` as lemmas.

        True is a proof from axioms. False may also mean that the inequality holds for a reason that this
        cannot see.
        """
        try:
            return self.problem(before) == ""
        except CheckError:
            return False

    def problem(self, before: Steps) -> str:
        """What is wrong, in a sentence; empty if nothing is. `CheckError` where a fact or range is wrong."""
        inside = domain(self.ranges)
        rest = self.right - self.left
        used = [self.left, self.right, *(each.limit for each in self.ranges)]
        for use in self.uses:
            left, right = use.fact.sides(before)
            factor, rest = _without(rest, right - left, use)
            used += [left, right, factor]
            if not all(map(inside.nonnegative, use.fact.needs(before))):
                return f"{use.fact.text(before)}: needs what is not shown to be nonnegative"
            if not use.fact.is_identity and not inside.nonnegative(factor):
                return f"the factor of {use.fact.text(before)} is not shown to be nonnegative"
        if strangers := unknown(used):
            return f"{', '.join(strangers)}: not of the table of symbols"
        if undefined := [str(each) for each in used if not inside.defined(each)]:
            return f"{undefined[0]}: a denominator is not shown to differ from 0"
        return "" if inside.nonnegative(rest) else "what is left over is not shown to be nonnegative"


def _without(rest: Expr, fact: Expr, use: Use) -> tuple[Expr, Expr]:
    """The factor of a fact, and ``rest`` minus the fact times it."""
    if use.removes is None:
        factor = sympy.Integer(1) if use.times is None else use.times
        return factor, rest - factor * fact
    own, of_fact = linear(rest, use.removes), linear(fact, use.removes)
    if of_fact == 0:
        raise CheckError(f"{use.removes}: is not in {fact}")
    factor, gone = own / of_fact, {use.removes: sympy.S.Zero}
    return factor, put(rest, gone) - factor * put(fact, gone)
