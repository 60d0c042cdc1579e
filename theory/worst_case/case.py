"""One question about a worst case, in rational numbers."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy
from flint import fmpq
from numpy import ndarray


def exact(number: float | str | Fraction) -> fmpq:
    """A number as its decimal digits, or a quotient of whole numbers, say."""
    found = Fraction(str(number))
    return fmpq(found.numerator, found.denominator)


ZERO, ONE = fmpq(0), fmpq(1)
Quantity = Literal["gradient", "disagreement"]


@dataclass(frozen=True)
class Case:
    """A method, a mixing matrix, and the constants of the losses, in units in which L = 1; no noise.

    Losses are in any unit U, lengths in units of sqrt(U / L). So ``step_size`` is alpha L, and largest are
    ``heterogeneity`` kappa^2 / (L U), ``disagreement`` Xi_0 L / U and ``gap`` (f(xbar_0) - f*) / U. The
    quantity is the mean over k < K of |grad f(xbar_k)|^2 / (L U), or that of Xi_k L / U.
    """

    rule: str
    """One of `theory.worst_case.rules.RULES`."""
    mixing: tuple[tuple[fmpq, ...], ...]
    """Pi (N, N): symmetric, and its rows sum to 1."""
    steps: int
    """K: as many gradients each agent takes; a point is measured before each step."""
    step_size: fmpq
    heterogeneity: fmpq
    disagreement: fmpq
    gap: fmpq = ONE
    local_steps: int = 1
    """tau, of local steps alone."""
    decay: fmpq = ZERO
    """beta, of momentum alone."""
    quantity: Quantity = "gradient"

    @property
    def agents(self) -> int:
        """The number of agents N."""
        return len(self.mixing)

    @property
    def matrix(self) -> ndarray:
        """Pi (N, N) of fractions."""
        return numpy.array(self.mixing, object)
