"""Permutation sketches: what training in slices does to quadratic losses, on average over all deals, exactly.

d = q n coordinates are dealt among n agents, q to each, all deals alike. P_i has ones on the diagonal where
agent i has a coordinate. With f_i(x) = x^T L_i x / 2 - b_i^T x, one step on each slice, and the results put
together, are x' = x - step (B x - c), with B = s sum_i P_i L_i P_i and c = t sum_i P_i b_i:

- s = t = 1 is the method (Yuan et al. 2022): each agent steps along its gradient at P_i x;
- s = n, t = 1 is the model of its theory (Shulgin and Richtarik 2024), with sketches C_i = n P_i: each takes
  the gradient at C_i x, and C_i times it, whose mean is stepped along;
- s = 1, t = n^(-1/2) is that model with sketches n^(1/2) P_i, for losses whose L_i have ones on the diagonal.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Self

import numpy
from numpy import ndarray
from numpy.random import Generator
from scipy.linalg import eigh


@dataclass(frozen=True, eq=False)
class Sketched:
    """``curvatures`` L_i (n, d, d), ``linear`` b_i (n, d), and the factors ``s`` and ``t``."""

    curvatures: ndarray
    linear: ndarray
    s: float = 1.0
    t: float = 1.0

    @classmethod
    def drawn(cls, agents: int, share: int, generator: Generator, *, alike: bool = False) -> Self:
        """The method, on dense losses of ``share`` coordinates for each agent, ``alike`` for all if asked."""
        size = agents * share
        roots = generator.standard_normal((1 if alike else agents, size, size))
        curvatures = roots @ roots.swapaxes(1, 2) / size + 0.1 * numpy.eye(size)
        linear = generator.standard_normal((len(roots), size))
        return cls(
            numpy.broadcast_to(curvatures, (agents, size, size)), numpy.broadcast_to(linear, (agents, size))
        )

    def preconditioned(self) -> "Sketched":
        """The losses at D_i^(-1/2) x, with the diagonals D_i of L_i: theirs are 1."""
        return self.scaled(1 / numpy.sqrt(numpy.diagonal(self.curvatures, axis1=1, axis2=2)))

    def scaled(self, scales: ndarray) -> "Sketched":
        """The losses where coordinates are multiplied by ``scales`` (d,), or by some of each agent (n, d)."""
        scales = numpy.broadcast_to(scales, self.linear.shape)
        curvatures = scales[:, :, None] * self.curvatures * scales[:, None, :]
        return Sketched(curvatures, scales * self.linear, self.s, self.t)

    def with_sketches(self, scale: float) -> "Sketched":
        """The theory's model with sketches C_i = ``scale`` P_i."""
        return Sketched(self.curvatures, self.linear, scale**2 / self.agents, scale / self.agents)

    @property
    def agents(self) -> int:
        """How many agents there are, n."""
        return len(self.linear)

    @property
    def size(self) -> int:
        """How many coordinates there are, d."""
        return self.linear.shape[1]

    @property
    def curvature(self) -> ndarray:
        """L (d, d), the mean of all L_i."""
        return self.curvatures.mean(0)

    @property
    def minimizer(self) -> ndarray:
        """L^-1 b (d,), where the mean of all losses is smallest."""
        return numpy.linalg.solve(self.curvature, self.linear.mean(0))

    @cached_property
    def _drawn(self) -> tuple[ndarray, ndarray]:
        """B (deals, d, d) and c (deals, d) of every deal."""
        masks = numpy.array(list(deals(self.agents, self.size)))
        operators = numpy.einsum("mia,iab,mib->mab", masks, self.curvatures, masks)
        return self.s * operators, self.t * numpy.einsum("mia,ia->ma", masks, self.linear)

    @property
    def fixed_point(self) -> ndarray:
        """(E B)^-1 E c (d,): where the mean of the iterates ends."""
        operators, terms = self._drawn
        return numpy.linalg.solve(operators.mean(0), terms.mean(0))

    @cached_property
    def symmetric(self) -> ndarray:
        """W = E[L B + B L] / 2 (d, d)."""
        product = self.curvature @ self._drawn[0].mean(0)
        return (product + product.T) / 2

    @cached_property
    def theta(self) -> float:
        """The least number with E[B L B] <= theta W; W must be positive definite."""
        operators, _ = self._drawn
        squared = (operators @ self.curvature @ operators).mean(0)
        return float(eigh(squared, self.symmetric, eigvals_only=True)[-1])

    @property
    def least_descent(self) -> float:
        """The smallest eigenvalue of L^(-1/2) W L^(-1/2)."""
        return float(eigh(self.symmetric, self.curvature, eigvals_only=True)[0])

    def worst(self, step: float, steps: int) -> float:
        """The largest E|x_k|^2 / |x_0|^2, in the norm of L, of all starts, where all b_i are 0."""
        once = numpy.eye(self.size) - step * self._drawn[0]
        after = self.curvature
        for _ in range(steps):
            after = (once.swapaxes(1, 2) @ after @ once).mean(0)
        return float(eigh(after, self.curvature, eigvals_only=True)[-1])

    @property
    def bias(self) -> ndarray:
        """The minimizer less E c, h (d,)."""
        return self.minimizer - self._drawn[1].mean(0)

    @property
    def covariance(self) -> ndarray:
        """That of c (d, d)."""
        return numpy.cov(self._drawn[1].T, bias=True)

    def loss(self, x: ndarray) -> float:
        """f(x) - f*, of the mean of all losses, at ``x`` (d,)."""
        return float(squared(x - self.minimizer, self.curvature)) / 2

    def mean_squared_gradient(self, start: ndarray, step: float, steps: int) -> tuple[float, float]:
        """The mean of E|grad f(x_k)|^2 in the norm of L^-1 over k < ``steps``, and E f(x_K) - f* after them.

        It is exact where B is 1 in every deal: the mean and the covariance of x_k are known.
        """
        center, spread, total = start, numpy.zeros((self.size, self.size)), 0.0
        for _ in range(steps):
            total += 2 * self.loss(center) + numpy.trace(self.curvature @ spread)
            center = center - step * (center - self._drawn[1].mean(0))
            spread = (1 - step) ** 2 * spread + step**2 * self.covariance
        return total / steps, self.loss(center) + numpy.trace(self.curvature @ spread) / 2


def deals(agents: int, size: int) -> Iterator[ndarray]:
    """The masks (agents, size) of every deal of ``size`` coordinates in equal parts."""
    if agents == 1:
        yield numpy.ones((1, size))
        return
    for chosen in combinations(range(size), size // agents):
        own = numpy.zeros(size)
        own[list(chosen)] = 1
        rest = numpy.flatnonzero(own == 0)
        for others in deals(agents - 1, len(rest)):
            masks = numpy.zeros((agents, size))
            masks[0], masks[1:, rest] = own, others
            yield masks


def squared(vector: ndarray, metric: ndarray) -> float:
    """|x|^2 in the norm of a ``metric`` (d, d)."""
    return float(vector @ metric @ vector)
