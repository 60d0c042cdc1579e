"""The methods as recursions that are linear in points and gradients.

They take whatever rows can be added and multiplied by fractions: an agent's point is a row of numbers, or the
coefficients of a point in vectors that are not known yet. That they are those of `dimat.methods` is tested,
and instances are replayed by the library's own methods (`theory.worst_case.replay`).
"""

from collections.abc import Callable, Iterator
from itertools import count

from numpy import ndarray

from theory.worst_case.case import ZERO, Case

Steps = Callable[[Case, ndarray, Callable[[ndarray], ndarray]], Iterator[ndarray]]
"""The points X_0, X_1, ... (N, d), without end, from X_0; gradients are asked for when the next is."""


def gossip(case: Case, x: ndarray, gradients: Callable[[ndarray], ndarray]) -> Iterator[ndarray]:
    """X <- Pi X - alpha G(X)."""
    while True:
        yield x
        x = case.matrix @ x - case.step_size * gradients(x)


def adapt_then_combine(case: Case, x: ndarray, gradients: Callable[[ndarray], ndarray]) -> Iterator[ndarray]:
    """X <- Pi (X - alpha G(X))."""
    while True:
        yield x
        x = case.matrix @ (x - case.step_size * gradients(x))


def local_steps(case: Case, x: ndarray, gradients: Callable[[ndarray], ndarray]) -> Iterator[ndarray]:
    """X <- X - alpha G(X), and X <- Pi X after every tau steps; X_0 is what the first merge gave."""
    for step in count(1):
        yield x
        x = x - case.step_size * gradients(x)
        if step % case.local_steps == 0:
            x = case.matrix @ x


def momentum(case: Case, x: ndarray, gradients: Callable[[ndarray], ndarray]) -> Iterator[ndarray]:
    """V <- beta V - alpha G(X), X <- Pi X + V, from V = 0."""
    velocity = x * ZERO
    while True:
        yield x
        velocity = case.decay * velocity - case.step_size * gradients(x)
        x = case.matrix @ x + velocity


def gradient_tracking(case: Case, x: ndarray, gradients: Callable[[ndarray], ndarray]) -> Iterator[ndarray]:
    """X <- Pi (X - alpha Y), Y <- Pi (Y + G(X) - G before), from Y = G(X_0): Aug-DGM."""
    trackers = before = x * ZERO
    for step in count():
        yield x
        found = gradients(x)
        trackers = trackers + found - before
        if step:
            trackers = case.matrix @ trackers
        before = found
        x = case.matrix @ (x - case.step_size * trackers)


RULES: dict[str, Steps] = {
    each.__name__: each for each in (gossip, adapt_then_combine, local_steps, momentum, gradient_tracking)
}
"""All methods by name; those with a derived bound have its key."""
