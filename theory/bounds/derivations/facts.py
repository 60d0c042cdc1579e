"""What a step may use. Each kind of fact makes its own statement, so that none is only said in words."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import sympy
from sympy import Expr, Symbol
from typing_extensions import override

from theory.bounds.derivations.ranges import CheckError, put
from theory.bounds.derivations.symbols import CONSTANTS, SUMS, K, Xi, Xi_next, j, start, tau
from theory.bounds.derivations.vectors import Vector, square

if TYPE_CHECKING:
    from theory.bounds.derivations.inequality import Inequality

Steps = Mapping[str, "Inequality"]
"""The steps before, by name."""


class Fact(ABC):
    """``left`` <= ``right``, or, if ``is_identity``, ``left`` = ``right``."""

    kind: ClassVar[str]
    is_identity: bool = False

    @abstractmethod
    def sides(self, before: Steps) -> tuple[Expr, Expr]:
        """Both sides; `CheckError` if it quotes what was not shown in ``before``."""

    def quotes(self) -> tuple[str, ...]:
        """The names of the steps that it quotes."""
        return ()

    def needs(self, before: Steps) -> tuple[Expr, ...]:
        """What else must be nonnegative."""
        return ()

    def text(self, before: Steps) -> str:
        """In words, from both sides."""
        left, right = self.sides(before)
        return f"{self.kind}: {left} {'=' if self.is_identity else '<='} {right}"


@dataclass(frozen=True)
class Axiom(Fact):
    """An assumption of the setting, or how the method moves: not shown here, but held against instances."""

    kind: ClassVar[str] = "axiom"
    name: str
    because: str
    left: Expr
    right: Expr
    is_identity: bool = False

    @override
    def sides(self, before: Steps) -> tuple[Expr, Expr]:
        return self.left, self.right

    @override
    def text(self, before: Steps) -> str:
        return f"{super().text(before)} ({self.because})"


@dataclass(frozen=True)
class SquareOf(Fact):
    """No square of a vector, or of a number, is negative."""

    kind: ClassVar[str] = "square"
    of: Vector | Expr

    @override
    def sides(self, before: Steps) -> tuple[Expr, Expr]:
        if isinstance(self.of, Vector):
            return sympy.Integer(0), square(self.of)
        if not self.of.is_real:
            raise CheckError(f"{self.of}: not shown to be real, so its square may be anything")
        return sympy.Integer(0), self.of**2

    @override
    def text(self, before: Steps) -> str:
        return f"{self.kind}: 0 <= |{self.of}|^2"


@dataclass(frozen=True)
class Lemma(Fact):
    """The conclusion of an earlier step."""

    kind: ClassVar[str] = "lemma"
    step: str

    @override
    def quotes(self) -> tuple[str, ...]:
        return (self.step,)

    @override
    def sides(self, before: Steps) -> tuple[Expr, Expr]:
        found = quoted(self.step, before)
        return found.left, found.right

    @override
    def text(self, before: Steps) -> str:
        left, right = self.sides(before)
        return f"{self.kind} ({self.step}): {left} <= {right}"


@dataclass(frozen=True)
class Summed(Lemma):
    """The conclusion of an earlier step, or an axiom, summed over k < K, or over ``times`` of what varies.

    Both sides must be linear in what varies: constants come ``times`` often, the others have sums.
    """

    kind: ClassVar[str] = "sum"
    times: Expr = K

    @override
    def sides(self, before: Steps) -> tuple[Expr, Expr]:
        left, right = super().sides(before)
        return summed(left, self.times), summed(right, self.times)


def quoted(name: str, before: Steps) -> "Inequality":
    """An earlier step by its name."""
    if name not in before:
        raise CheckError(f"{name}: is no earlier step")
    return before[name]


def same(one: Expr, other: Expr, where: str) -> None:
    """`CheckError` unless both are one number, whatever their symbols stand for."""
    if sympy.cancel(one - other) != 0:
        raise CheckError(f"{where}: expected {other}, got {one}")


def summed(expression: Expr, times: Expr) -> Expr:
    """The sum of an expression that is linear in quantities; `CheckError` if it is not."""
    varying = sorted((each for each in SUMS if each in expression.free_symbols), key=str)
    found, rest = sympy.Integer(0), expression
    for each in varying:
        factor = linear(rest, each)
        if factor.free_symbols - CONSTANTS:
            raise CheckError(f"{expression}: is not linear in what varies, {each}")
        found, rest = found + factor * SUMS[each], put(rest, {each: sympy.S.Zero})
    if rest.free_symbols - CONSTANTS:
        raise CheckError(f"{expression}: has a symbol without a sum")
    return found + times * rest


def linear(expression: Expr, symbol: Symbol) -> Expr:
    """The factor of ``symbol``, in which ``expression`` must be linear; else `CheckError`."""
    factor = sympy.diff(expression, symbol)
    if symbol in factor.free_symbols and symbol in sympy.simplify(factor).free_symbols:
        raise CheckError(f"{expression}: is not linear in {symbol}")
    return factor


@dataclass(frozen=True)
class Induction(Fact):
    """A recursion over steps of a round, from its first: what is ``of`` the start is at most ``claim`` later.

    ``recursion`` bounds Xi_next by Xi; the steps ``base`` and ``step`` say that ``claim``, in ``j``, holds at
    j = 0, and at j + 1 if at j. It is taken ``at`` a j up to tau; or summed over the first j steps, which
    gives ``closed``, and that at j = tau.
    """

    kind: ClassVar[str] = "induction"
    recursion: str
    base: str
    step: str
    claim: Expr
    of: Symbol
    at: Expr | None = None
    closed: Expr = sympy.S.Zero

    @override
    def quotes(self) -> tuple[str, ...]:
        return self.recursion, self.base, self.step

    @override
    def sides(self, before: Steps) -> tuple[Expr, Expr]:
        recursion, base, step = (quoted(name, before) for name in self.quotes())
        zero, one = sympy.Integer(0), sympy.Integer(1)
        same(recursion.left, Xi_next, self.recursion)
        same(base.left, start, self.base)
        same(base.right, self.claim.subs(j, zero), self.base)
        same(step.left, recursion.right.subs(Xi, self.claim), self.step)
        same(step.right, self.claim.subs(j, j + one), self.step)
        ranges = [each for each in step.ranges if j in (each.symbol, *each.limit.free_symbols)]
        if [(each.symbol, each.relation, each.limit) for each in ranges] != [(tau, ">=", j + one)]:
            raise CheckError(f"{self.step}: expected to hold for every j from 0 to tau - 1")
        if self.at is not None:
            return self.of, self.claim.subs(j, self.at)
        same(self.closed.subs(j, zero), zero, "sum over a round")
        same(self.closed.subs(j, j + one) - self.closed, self.claim, "sum over a round")
        return self.of, self.closed.subs(j, tau)

    @override
    def needs(self, before: Steps) -> tuple[Expr, ...]:
        return (linear(quoted(self.recursion, before).right, Xi),)
