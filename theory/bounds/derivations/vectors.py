"""Vectors that only have names, and inner products of their sums: squares are expanded by machine.

There are two spaces. Vectors of the mean are in R^d; those over agents have a part for each agent, and their
inner product is the mean over agents of the parts' products. All are expected values, given the past.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sympy
from sympy import Expr, Symbol

from theory.bounds.derivations.symbols import quantity

GRAM: dict[frozenset[str], Expr] = {}
"""Inner products of base vectors; those that are not here have not been declared."""
VECTORS: dict[str, str] = {}
"""What each base vector is."""


@dataclass(frozen=True)
class Vector:
    """A sum of base vectors, with a factor for each."""

    factors: Mapping[str, Expr]

    def __add__(self, other: "Vector") -> "Vector":
        names = [*self.factors, *(name for name in other.factors if name not in self.factors)]
        zero = sympy.Integer(0)
        return Vector({n: self.factors.get(n, zero) + other.factors.get(n, zero) for n in names})

    def __mul__(self, factor: Expr | int) -> "Vector":
        return Vector({name: each * factor for name, each in self.factors.items()})

    def __neg__(self) -> "Vector":
        return self * -1

    def __sub__(self, other: "Vector") -> "Vector":
        return self + -other

    def __hash__(self) -> int:
        return hash(frozenset(self.factors.items()))

    def __str__(self) -> str:
        return " + ".join(n if f == 1 else f"({f}) {n}" for n, f in self.factors.items()).replace(
            "(-1) ", "-"
        )


def vector(name: str, meaning: str, square: Symbol | None = None) -> Vector:
    """A new base vector; ``square`` is the symbol of its square, if that has one already."""
    if name in VECTORS:
        raise ValueError(f"{name}: is a vector already")
    VECTORS[name] = meaning
    own = quantity(f"|{name}|^2", f"squared norm of {name}, {meaning}") if square is None else square
    GRAM[frozenset([name])] = own
    return Vector({name: sympy.Integer(1)})


def products(*vectors: Vector) -> None:
    """Declare all inner products of base vectors."""
    names = [name for each in vectors for name in each.factors]
    for place, one in enumerate(names):
        for other in names[:place]:
            key = frozenset([one, other])
            if key not in GRAM:
                GRAM[key] = quantity(f"<{other},{one}>", f"inner product of {other} and {one}", sign="real")


def unbiased(noise: Vector, *others: Vector) -> None:
    """Declare that ``noise`` is 0 on average, whatever ``others`` are."""
    (name,) = noise.factors
    for each in others:
        for other in each.factors:
            GRAM[frozenset([name, other])] = sympy.Integer(0)


def dot(one: Vector, other: Vector) -> Expr:
    """The inner product, in symbols; `KeyError` for two that were not declared."""
    return sympy.Add(
        *(f * g * GRAM[frozenset([n, k])] for n, f in one.factors.items() for k, g in other.factors.items())
    )


def gram(one: Vector, other: Vector | None = None) -> Symbol:
    """The symbol of the inner product of two base vectors, or of the square of one."""
    found = GRAM[frozenset([*one.factors, *(other or one).factors])]
    if not isinstance(found, Symbol):
        raise ValueError(f"{one}, {other}: their product is {found}")
    return found


def square(one: Vector) -> Expr:
    """The squared norm, in symbols."""
    return dot(one, one)
