"""What a bound asks of a problem: N losses, gradients of theirs, and the constants of its assumptions."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import inf, prod
from typing import ClassVar, Self

import numpy
from numpy import ndarray
from numpy.random import Generator

DIMENSIONS = 10
"""Of problems that can have any number of them."""
DRAWN = 2**16
"""About so many random signs are drawn at a time."""


class Problem(ABC):
    """Losses f_i in R^d of N agents, whose mean is f.

    Points come as arrays (points, dimensions), or, where every agent has points of its own, as
    (agents, points, dimensions).
    """

    name: ClassVar[str]
    most_agents: ClassVar[float] = inf
    """How many agents there can be."""
    sigma: float
    """The noise added to gradients has variance sigma^2, in all coordinates together."""

    @classmethod
    @abstractmethod
    def drawn(cls, agents: int, generator: Generator) -> Self:
        """A problem of the audit, drawn at random."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """N and d."""

    @property
    def agents(self) -> int:
        """The number of agents N."""
        return self.shape[0]

    @property
    def dimensions(self) -> int:
        """The number of coordinates d."""
        return self.shape[1]

    @property
    @abstractmethod
    def smoothness(self) -> float:
        """L: no gradient of an f_i changes faster."""

    @property
    @abstractmethod
    def heterogeneity(self) -> float:
        """kappa: (1/N) sum_i |grad f_i(x) - grad f(x)|^2 is at most kappa^2 at every x."""

    @abstractmethod
    def gap(self, x: ndarray) -> ndarray:
        """f(x) - f* (points,) of points (points, dimensions), or a bound on it that says how loose it is."""

    @abstractmethod
    def gradients(self, x: ndarray) -> ndarray:
        """Each agent's exact gradients at its own points (agents, points, dimensions)."""

    def gradient(self, x: ndarray) -> ndarray:
        """The gradient of f at points (points, dimensions)."""
        return self.gradients(numpy.broadcast_to(x, (self.agents, *x.shape))).mean(0)

    def noises(self, points: int, generator: Generator) -> Iterator[ndarray]:
        """Endless noise of gradients (agents, points, dimensions): sigma / sqrt(d), of random sign.

        Its mean is 0 and its squared norm is sigma^2, not only on average. Many steps are drawn at once.
        """
        shape = (self.agents, points, self.dimensions)
        size = prod(shape)
        words = -(-size // 32)
        steps = max(1, DRAWN // size)
        while True:
            drawn = numpy.frombuffer(generator.bytes(4 * words * steps), numpy.uint8).reshape(steps, -1)
            signs = 2.0 * numpy.unpackbits(drawn, axis=1, count=size) - 1
            yield from (signs * (self.sigma / self.dimensions**0.5)).reshape(steps, *shape)
