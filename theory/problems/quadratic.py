"""Quadratic losses: f_i(x) = (x - b_i)^T A (x - b_i) / 2 with one diagonal A for all agents.

L is the largest entry of A, the heterogeneity kappa^2 = (1/N) sum_i |A (b_i - mean b)|^2 is the same at every
x, and f - f* at x is (x - mean b)^T A (x - mean b) / 2.

With a common A the mean of the agents moves as one SGD on f, however far they disagree: these problems test
the terms of the bound that go through the disagreement only where the disagreement itself is measured. With
an A_i for each agent, gradients would differ by (A_i - mean A) x: without bound, so that no kappa exists.
`Separable` has agents whose curvatures differ, and a finite kappa.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy
from numpy import ndarray
from numpy.random import Generator
from typing_extensions import override

from theory.problems.problem import DIMENSIONS, Problem


@dataclass(frozen=True, eq=False)
class Quadratic(Problem):
    """``curvature`` is the diagonal of A (dimensions,), ``optima`` the b_i (agents, dimensions)."""

    name: ClassVar[str] = "quadratic"
    curvature: ndarray
    optima: ndarray
    sigma: float

    @classmethod
    @override
    def drawn(cls, agents: int, generator: Generator) -> Self:
        optima = 0.3 * generator.standard_normal((agents, DIMENSIONS))
        return cls(numpy.full(DIMENSIONS, 2.0), optima, sigma=1.0)

    @property
    @override
    def shape(self) -> tuple[int, int]:
        return len(self.optima), len(self.curvature)

    @property
    @override
    def smoothness(self) -> float:
        """Exact."""
        return float(self.curvature.max())

    @property
    @override
    def heterogeneity(self) -> float:
        """Exact, at every point."""
        spread = self.curvature * (self.optima - self.optima.mean(0))
        return float(numpy.sqrt((spread**2).sum(1).mean()))

    @override
    def gap(self, x: ndarray) -> ndarray:
        """Exact."""
        return (self.curvature * (x - self.optima.mean(0)) ** 2).sum(-1) / 2

    @override
    def gradients(self, x: ndarray) -> ndarray:
        return self.curvature * (x - self.optima[:, None])

    @override
    def gradient(self, x: ndarray) -> ndarray:
        return self.curvature * (x - self.optima.mean(0))
