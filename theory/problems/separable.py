"""Nonconvex losses that no permutation of coordinates changes: f_i(x) = sum_j phi_i(x_j).

phi_i(t) = a_i (1 - cos(t - c_i)). With the complex number z_i = a_i exp(i c_i), its mean z, w_i = z_i - z,
and * for the complex conjugate:

- phi_i(t) = a_i - Re(z_i* e^{it}), phi_i'(t) = Im(z_i* e^{it}) and phi_i''(t) = Re(z_i* e^{it}), whose
  largest modulus is a_i: L = max a_i, attained at t = c_i.
- f(x) = sum_j (mean a - Re(z* e^{i x_j})), so f* = d (mean a - |z|), attained at x_j = arg z.
- (1/N) sum_i (phi_i'(t) - mean phi'(t))^2 = (1/N) sum_i Im(w_i* e^{it})^2
  = (mean |w|^2 - Re(mean(w^2)* e^{2it})) / 2, whose maximum over t is (mean |w|^2 + |mean w^2|) / 2. It is
  attained at all coordinates at once, so kappa^2 is d times that.

All three are exact. Curvatures differ from agent to agent, and in sign from point to point: the mean of the
agents does not move by the gradient at the mean.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy
from numpy import ndarray
from numpy.random import Generator
from typing_extensions import override

from theory.problems.problem import DIMENSIONS, Problem


@dataclass(frozen=True, eq=False)
class Separable(Problem):
    """``amplitudes`` are the a_i > 0 (agents,), ``phases`` the c_i (agents,), ``coordinates`` d."""

    name: ClassVar[str] = "separable"
    amplitudes: ndarray
    phases: ndarray
    coordinates: int
    sigma: float

    @classmethod
    @override
    def drawn(cls, agents: int, generator: Generator) -> Self:
        amplitudes, phases = generator.uniform(0.5, 2, agents), generator.uniform(-1, 1, agents)
        return cls(amplitudes, phases, DIMENSIONS, sigma=1.0)

    @property
    @override
    def shape(self) -> tuple[int, int]:
        return len(self.phases), self.coordinates

    @property
    @override
    def smoothness(self) -> float:
        """Exact."""
        return float(self.amplitudes.max())

    @property
    @override
    def heterogeneity(self) -> float:
        """Exact: attained at some points."""
        apart = self._waves - self._mean_wave
        largest = (numpy.mean(abs(apart) ** 2) + abs(numpy.mean(apart**2))) / 2
        return float(numpy.sqrt(self.dimensions * largest))

    @override
    def gap(self, x: ndarray) -> ndarray:
        """Exact."""
        return abs(self._mean_wave) * (1 - numpy.cos(x - numpy.angle(self._mean_wave))).sum(-1)

    @override
    def gradients(self, x: ndarray) -> ndarray:
        return self.amplitudes[:, None, None] * numpy.sin(x - self.phases[:, None, None])

    @override
    def gradient(self, x: ndarray) -> ndarray:
        return abs(self._mean_wave) * numpy.sin(x - numpy.angle(self._mean_wave))

    @cached_property
    def _waves(self) -> ndarray:
        """The z_i (agents,)."""
        return self.amplitudes * numpy.exp(1j * self.phases)

    @cached_property
    def _mean_wave(self) -> complex:
        return complex(self._waves.mean())
