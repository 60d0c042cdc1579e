"""Adam with second moments of each agent's own: it does not converge where losses differ.

Steps of Adam have about the same length, however large the gradient. So agents that each divide by moments of
their own vote with the signs of their gradients, and rest, on losses (x - b_i)^2 / 2, at the median of the
b_i, not at their mean, which is the minimizer of f. No noise is needed, and no step size helps. With two
agents the median is any point between both; three are the fewest that leave the minimizer of f itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy
from numpy import ndarray

from dimat.methods.cdsgd import Cdsgd
from dimat.methods.every_step import Synchronous
from dimat.randomness import Randomness
from theory.bounds.gossip_adam import GossipAdam
from theory.bounds.runs import run_method
from theory.gap.graphs import COMPLETE
from theory.problems import Quadratic
from theory.rows import Row, exactly

STEPS = (400, 6400)
"""Of two runs: a rate of 1 / sqrt(N K) would give the second a quarter of what the first has."""
OPTIMA = numpy.array([0.0, 0.0, 3.0])


@dataclass(frozen=True)
class NotAtRest:
    """Optima of agents whose mean squared gradient, from the minimizer of f on, grows with the steps."""

    optima: ndarray
    adam: tuple[float, float]
    sgd: tuple[float, float]

    def __str__(self) -> str:
        few, many = STEPS
        return (
            f"{len(self.optima)} agents, complete graph, losses (x - b)^2 / 2, b = {self.optima.tolist()}, "
            f"no noise, start at the minimizer of f, {self.optima.mean():g}; alpha = 1 / (2 sqrt(K)): the "
            f"mean over steps of |grad f|^2 is {self.adam[0]:.3f} at K = {few}, {self.adam[1]:.3f} at "
            f"K = {many}; SGD stays where it is, to {max(self.sgd):.0e}"
        )


def counterexample() -> NotAtRest | None:
    """The first, by the number of agents, with one optimum away from all others."""
    for agents in range(2, len(OPTIMA) + 1):
        optima = OPTIMA[-agents:]
        adam, sgd = (squared_gradients(kind, optima) for kind in (GossipAdam, Cdsgd))
        if adam[1] > adam[0]:
            return NotAtRest(optima, adam, sgd)
    return None


def squared_gradients(kind: type[Synchronous], optima: ndarray) -> tuple[float, float]:
    """The mean squared gradient after either number of steps, from the minimizer of f."""
    problem = Quadratic(numpy.ones(1), optima[:, None], sigma=0.0)
    start, agents = numpy.full((len(optima), 1), optima.mean()), len(optima)
    links, randomness = COMPLETE.mixing_matrix(agents), Randomness("own moments", 0)
    few, many = (
        run_method(kind(learning_rate=0.5 / steps**0.5), problem, links, steps, 1, start, randomness)
        for steps in STEPS
    )
    return float(few.mean_squared_gradient[0]), float(many.mean_squared_gradient[0])


def own_moments_rows() -> Iterator[Row]:
    """With so many more steps the mean squared gradient must not be larger."""
    yield _row(GossipAdam, OPTIMA)


def own_moments_controls() -> Iterator[Row]:
    """Other optima, further apart: it must be seen there, too."""
    yield _row(GossipAdam, numpy.array([0.0, 0.0, 0.0, 0.0, 9.0])).as_control(
        "one optimum of five is far away"
    )


def _row(kind: type[Synchronous], optima: ndarray) -> Row:
    few, many = squared_gradients(kind, optima)
    said = ("adam-own-moments", f"{STEPS[1] // STEPS[0]} times as many steps: no larger", "mean |grad f|^2")
    of = {"step_size": 0.5 / STEPS[1] ** 0.5, "problem": "quadratic"}
    return Row(*said, "complete", len(optima), STEPS[1], *exactly(many), few, **of)
