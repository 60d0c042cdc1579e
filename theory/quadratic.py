"""Quadratic losses whose constants are known exactly, and gossip on them.

f_i(x) = (x - b_i)^T A (x - b_i) / 2 with one diagonal A for all agents: L is the largest entry of A, the
heterogeneity kappa^2 = (1/N) sum_i |A (b_i - mean b)|^2 is the same at every x, and f - f* at x is
(x - mean b)^T A (x - mean b) / 2. Gradients carry Gaussian noise of total variance sigma^2.

With a common A the mean of the agents moves as one SGD on f, however far they disagree: these problems test
the terms of the bound that go through the disagreement only where the disagreement itself is measured.
"""

from dataclasses import dataclass

import numpy
from numpy import ndarray


@dataclass(frozen=True)
class Quadratic:
    """``curvature`` is the diagonal of A (dimensions,), ``optima`` the b_i (agents, dimensions)."""

    curvature: ndarray
    optima: ndarray
    sigma: float

    @property
    def smoothness(self) -> float:
        """The smoothness L."""
        return float(self.curvature.max())

    @property
    def heterogeneity(self) -> float:
        """The heterogeneity kappa."""
        spread = self.curvature * (self.optima - self.optima.mean(0))
        return float(numpy.sqrt((spread**2).sum(1).mean()))

    def gap(self, x: ndarray) -> ndarray:
        """f(x) - f* of points (..., dimensions)."""
        return (self.curvature * (x - self.optima.mean(0)) ** 2).sum(-1) / 2

    def gradient(self, x: ndarray) -> ndarray:
        """The gradient of f at points (..., dimensions)."""
        return self.curvature * (x - self.optima.mean(0))

    def stochastic_gradients(self, x: ndarray, generator: numpy.random.Generator) -> ndarray:
        """Noisy gradients of each agent's own loss at its own point: (..., agents, dimensions)."""
        noise = generator.standard_normal(x.shape) * (self.sigma / numpy.sqrt(x.shape[-1]))
        return self.curvature * (x - self.optima) + noise


@dataclass(frozen=True)
class Gossip:
    """What was measured in one run for each seed: arrays (seeds,)."""

    mean_squared_gradient: ndarray
    mean_disagreement: ndarray
    gap_0: float
    disagreement_0: float


def run_gossip(
    problem: Quadratic,
    mixing: ndarray,
    step_size: float,
    steps: int,
    seeds: int,
    generator: numpy.random.Generator,
    start: ndarray,
) -> Gossip:
    """X <- Pi X - alpha G(X) for ``steps`` steps from ``start`` (agents, dimensions), all seeds at once.

    A direct recursion on vectors: the library's own methods act on networks.
    """
    x = numpy.broadcast_to(start, (seeds, *start.shape)).copy()
    gradients, disagreements = numpy.zeros((2, seeds))
    for _ in range(steps):
        center = x.mean(1, keepdims=True)
        gradients += (problem.gradient(center) ** 2).sum((1, 2))
        disagreements += ((x - center) ** 2).sum(2).mean(1)
        x = mixing @ x - step_size * problem.stochastic_gradients(x, generator)
    center = start.mean(0)
    disagreement_0 = float(((start - center) ** 2).sum(1).mean())
    return Gossip(gradients / steps, disagreements / steps, float(problem.gap(center)), disagreement_0)
