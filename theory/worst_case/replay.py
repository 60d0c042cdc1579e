"""Instances at work: the library's own methods on the losses that attain a lower end."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy
from numpy import ndarray
from numpy.random import Generator
from typing_extensions import override

from theory.problems import Problem
from theory.worst_case.case import Case
from theory.worst_case.lower import Instance, Played, played

NEAR = 1e-9
"""How far floating point may go from a point of the instance."""


@dataclass(frozen=True, eq=False)
class Attained(Problem):
    """The losses f + <c_i, x> of an instance, near the points of its trajectory.

    There f is f_p + <g_p, x - x_p> + |x - x_p|^2 / 2: of these, f is made in `theory.worst_case.conditions`,
    and where all conditions are strict it is one of them near each point. Elsewhere gradients are nan.
    """

    name: ClassVar[str] = "worst case"
    case: Case
    instance: Instance
    sigma: float = 0.0

    @classmethod
    @override
    def drawn(cls, agents: int, generator: Generator) -> Self:
        raise NotImplementedError("a worst case is searched, not drawn")

    @property
    @override
    def shape(self) -> tuple[int, int]:
        return self.case.agents, self.instance.slopes.shape[1]

    @property
    @override
    def smoothness(self) -> float:
        """Of the class."""
        return 1.0

    @property
    @override
    def heterogeneity(self) -> float:
        """Of the class: that of the instance is at most so much."""
        return float(self.case.heterogeneity) ** 0.5

    @cached_property
    def _played(self) -> Played:
        return played(self.case, self.instance)

    @cached_property
    def _known(self) -> tuple[ndarray, ndarray, ndarray]:
        """Points and gradients of f there (points, d), and the c_i (N, d)."""
        done = self._played
        return done.points.astype(float), self.instance.slopes.astype(float), done.tilts.astype(float)

    @property
    def start(self) -> ndarray:
        """X_0 (N, d)."""
        return self._played.start.astype(float)

    @override
    def gap(self, x: ndarray) -> ndarray:
        """Of the class, wherever it starts."""
        return numpy.full(len(x), float(self.case.gap))

    @override
    def gradients(self, x: ndarray) -> ndarray:
        points, slopes, tilts = self._known
        apart = x[:, :, None, :] - points
        nearest = (apart**2).sum(-1).argmin(-1)
        off = numpy.take_along_axis(apart, nearest[:, :, None, None], axis=2)[:, :, 0]
        found = slopes[nearest] + off + tilts[:, None, :]
        return numpy.where(abs(off).max(-1, keepdims=True) <= NEAR, found, numpy.nan)
