"""Losses whose slopes are zigzag lines: f_i(x) = f(x) + c_i x in one dimension, f'(t) = 1 - |t| on [-2, 2].

f' has period 4 and slopes 1 and -1: L = 1, exactly. The c_i sum to 0, so that f is the mean of the losses and
kappa^2 = mean c_i^2 at every x, exactly. From its minima, at -1 + 4 z, f rises by (t + 1)^2 / 2 up to t = 0,
and is 1 - (t - 1)^2 / 2 above them from there to t = 2.

At t = 0 the slope of f is 1, although it is 0 a distance of 1 away on either side: agents there, in two equal
halves, stand still with their mean on a slope, as far from each other as heterogeneity keeps them. So the
price of disagreement is paid in full.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy
from numpy import ndarray
from numpy.random import Generator
from typing_extensions import override

from theory.problems.problem import Problem


@dataclass(frozen=True, eq=False)
class Zigzag(Problem):
    """``tilts`` are the c_i (agents,)."""

    name: ClassVar[str] = "zigzag"
    tilts: ndarray
    sigma: float = 0.0

    @classmethod
    @override
    def drawn(cls, agents: int, generator: Generator) -> Self:
        tilts = generator.standard_normal(agents)
        return cls(tilts - tilts.mean())

    @property
    @override
    def shape(self) -> tuple[int, int]:
        return len(self.tilts), 1

    @property
    @override
    def smoothness(self) -> float:
        """Exact."""
        return 1.0

    @property
    @override
    def heterogeneity(self) -> float:
        """Exact, at every point."""
        return float(numpy.sqrt((self.tilts**2).mean()))

    @override
    def gap(self, x: ndarray) -> ndarray:
        """Exact."""
        t = _in_one_period(x[..., 0])
        return numpy.where(t < 0, (t + 1) ** 2 / 2, 1 - (t - 1) ** 2 / 2)

    @override
    def gradients(self, x: ndarray) -> ndarray:
        return self.gradient(x) + self.tilts[:, None, None]

    @override
    def gradient(self, x: ndarray) -> ndarray:
        return 1 - abs(_in_one_period(x))


def _in_one_period(x: ndarray) -> ndarray:
    return (x + 2) % 4 - 2
