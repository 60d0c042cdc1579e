"""Logistic regression on real images: odd digits against even ones, with an L2 term, dealt to agents.

f_i(x) = mean over the agent's images a of -log p(own class of a; x) + mu |x|^2 / 2, where the probability of
odd is p(a; x) = 1 / (1 + exp(-a^T x)). Write A_i (images, d) for an agent's images, t for their classes (1 is
odd) and lambda_i for the largest eigenvalue of A_i^T A_i / images.

- The Hessian is A_i^T diag(p (1 - p)) A_i / images + mu, and p (1 - p) <= 1/4 with equality everywhere at
  x = 0: L = max lambda_i / 4 + mu is exact.
- The gradient is A_i^T (p - t) / images + mu x = c_i + e_i + mu x, with c_i = A_i^T (1/2 - t) / images, the
  gradient at 0, and e_i = A_i^T (p - 1/2) / images. As |p - 1/2| < 1/2, |e_i|^2 <= lambda_i / 4. The root of
  the mean square is a norm, and distances from the mean are the smallest: so
  kappa <= (mean |c_i - mean c|^2)^{1/2} + (mean lambda_i)^{1/2} / 2. This is a bound, not the supremum.
- f is mu-strongly convex: f(x') - f* <= |grad f(x')|^2 / (2 mu) certifies what Newton's method finds.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy
from numpy import ndarray
from numpy.random import Generator
from scipy.special import expit
from typing_extensions import override

from theory.problems.problem import Problem


@dataclass(frozen=True, eq=False)
class Logistic(Problem):
    """``images`` (agents, images, dimensions), ``odd`` (agents, images) 0 or 1, and ``decay`` mu > 0."""

    name: ClassVar[str] = "logistic"
    most_agents: ClassVar[float] = 16  # more take too long for an audit
    images: ndarray
    odd: ndarray
    decay: float
    sigma: float

    @classmethod
    @override
    def drawn(cls, agents: int, generator: Generator) -> Self:
        """Nothing is drawn: the digits are what they are."""
        return cls.of_digits(agents, sigma=0.3)

    @classmethod
    def of_digits(cls, agents: int, sigma: float, *, images: int = 40, decay: float = 0.05) -> Self:
        """The first of scikit-learn's digits, so many for each agent, even ones first, then odd ones.

        Most agents see a class alone, and few digits. The mean squared norm of images is scaled to 1.
        """
        from sklearn.datasets import load_digits  # here, because it is slow to import and rarely needed

        pixels, digits = map(numpy.asarray, load_digits(return_X_y=True))
        first = digits[: agents * images]
        order = numpy.lexsort((first, first % 2))
        chosen = pixels[order] / numpy.sqrt((pixels[order] ** 2).sum(1).mean())
        shape = (agents, images)
        return cls(chosen.reshape(*shape, -1), (digits[order] % 2.0).reshape(shape), decay, sigma)

    @property
    @override
    def shape(self) -> tuple[int, int]:
        return len(self.images), self.images.shape[2]

    @property
    @override
    def smoothness(self) -> float:
        """Exact, up to the round-off of an eigenvalue."""
        return float(self._eigenvalues.max() / 4 + self.decay)

    @property
    @override
    def heterogeneity(self) -> float:
        """A bound."""
        centers = self.gradients(numpy.zeros((self.agents, 1, self.dimensions)))[:, 0]
        spread = ((centers - centers.mean(0)) ** 2).sum(1).mean()
        return float(numpy.sqrt(spread) + numpy.sqrt(self._eigenvalues.mean()) / 2)

    @override
    def gap(self, x: ndarray) -> ndarray:
        """At most `certificate` too large."""
        return self.loss(x) - self.loss(self.minimizer[None]) + self.certificate

    @override
    def gradients(self, x: ndarray) -> ndarray:
        residuals = expit(self.images @ x.swapaxes(1, 2)) - self.odd[..., None]
        slope = self.images.swapaxes(1, 2) @ residuals / self.images.shape[1]
        return slope.swapaxes(1, 2) + self.decay * x

    def loss(self, x: ndarray) -> ndarray:
        """F (points,) at points (points, dimensions)."""
        scores = self.images @ x.T
        losses = numpy.logaddexp(0, scores) - self.odd[..., None] * scores
        return losses.mean((0, 1)) + self.decay * (x**2).sum(1) / 2

    @cached_property
    def minimizer(self) -> ndarray:
        """Where Newton's method on f ends (dimensions,)."""
        x = numpy.zeros(self.dimensions)
        inputs = self.images.reshape(-1, self.dimensions)
        for _ in range(20):
            share = expit(inputs @ x)
            hessian = (inputs.T * (share * (1 - share))) @ inputs / len(inputs)
            hessian += self.decay * numpy.eye(self.dimensions)
            x = x - numpy.linalg.solve(hessian, self.gradient(x[None])[0])
        return x

    @property
    def certificate(self) -> float:
        """f(minimizer) - f* is at most so much: |grad f|^2 / (2 mu) there."""
        return float((self.gradient(self.minimizer[None]) ** 2).sum() / (2 * self.decay))

    @cached_property
    def _eigenvalues(self) -> ndarray:
        """The lambda_i (agents,)."""
        covariances = self.images.swapaxes(1, 2) @ self.images / self.images.shape[1]
        return numpy.linalg.eigvalsh(covariances)[:, -1]
