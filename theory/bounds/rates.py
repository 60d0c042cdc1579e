"""Exponents of the rate in the number of steps K and of agents N, by regression on measured numbers.

With a step size proportional to sqrt(N / K), bounds are O(1 / sqrt(N K)) + O(N / K): once noise and the
initial gap dominate, the mean squared gradient falls as K^{-1/2} N^{-1/2}, a linear speed-up. N / K must be
small for that, and the step size admissible: the smaller the spectral gap, the more steps it takes.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy
from numpy import ndarray
from scipy import stats

from dimat.methods.cdsgd import Cdsgd
from dimat.randomness import Randomness
from dimat.topology import Graph
from theory.bounds.runs import run_method
from theory.gap.graphs import EXPONENTIAL
from theory.problems import Problem, Quadratic, Separable
from theory.problems.problem import DIMENSIONS
from theory.rows import Numbers, Row

STEPS, AGENTS, SEEDS = (500, 1000, 2000), (2, 4, 8, 16), 16
TOLERANCE = 0.05
"""Distance of an exponent from -1/2 that is left to what falls faster than the leading term."""
ROUGHNESS = 0.03
"""Distance from an exponent that is known exactly, which is left to chance."""


def noise_alone(agents: int) -> tuple[Problem, ndarray]:
    """Quadratics with one common optimum, where all agents start: only noise moves them."""
    nowhere = numpy.zeros((agents, DIMENSIONS))
    return Quadratic(numpy.ones(DIMENSIONS), nowhere, sigma=1.0), nowhere


def nonconvex(agents: int) -> tuple[Problem, ndarray]:
    """Two kinds of agents, in turn, with unlike nonconvex losses, and a start away from their optimum.

    The mean f of all losses is the same for every even number of agents.
    """
    phases = numpy.resize([-1.0, 1.0], agents)
    start = numpy.full((agents, DIMENSIONS), 1.5)
    return Separable(numpy.ones(agents), phases, DIMENSIONS, sigma=1.0), start


def speed_up(agents: int, steps: int) -> float:
    """The step size sqrt(N / K) / 2."""
    return (agents / steps) ** 0.5 / 2


def mean_squared_gradients(
    setting: Callable[[int], tuple[Problem, ndarray]],
    graph: Graph,
    steps: Sequence[int],
    agents: Sequence[int],
    seeds: int,
    step_size: Callable[[int, int], float] = speed_up,
) -> ndarray:
    """Measured means over k < K of |grad f(xbar_k)|^2: (steps, agents, seeds), all independent.

    ``setting`` gives the problem and the start of so many agents, ``step_size`` that of N agents and K steps.
    """
    found = numpy.empty((len(steps), len(agents), seeds))
    for column, n in enumerate(agents):
        problem, start = setting(n)
        for row, k in enumerate(steps):
            randomness = Randomness(f"{setting.__name__}, {graph.label()}, {n} agents, {k} steps", 0)
            method = Cdsgd(learning_rate=step_size(n, k))
            done = run_method(method, problem, graph.mixing_matrix(n), k, seeds, start, randomness)
            found[row, column] = done.mean_squared_gradient
    return found


def exponents(steps: Sequence[int], agents: Sequence[int], measured: ndarray) -> tuple[Numbers, Numbers]:
    """Of K and of N in ``measured`` (steps, agents, seeds) ~ K^a N^b: least squares for each seed by itself.

    Numberss are over seeds. On a full grid, K and N are independent and have a regression each.
    """
    logarithms = numpy.log(measured)
    k, n = (numpy.log(values) - numpy.log(values).mean() for values in (steps, agents))
    of_steps = numpy.einsum("k,kns->s", k, logarithms) / (k @ k * len(n))
    of_agents = numpy.einsum("n,kns->s", n, logarithms) / (n @ n * len(k))
    return t_interval(of_steps), t_interval(of_agents)


def t_interval(sample: ndarray, risk: float = 0.05, further: float = 0.0) -> Numbers:
    """The mean of a sample, and the ends of the t-interval around it that misses with probability ``risk``.

    ``further`` is a known variance of the mean that the sample does not show. Half the widths of both
    intervals are added as squares: that covers often enough, whatever the two variances (Banerjee 1961).
    """
    mean, error = float(sample.mean()), float(sample.std(ddof=1)) / len(sample) ** 0.5
    quantile = 1 - risk / 2
    half = float(stats.t.ppf(quantile, len(sample) - 1)) * error
    half = math.hypot(half, float(stats.norm.ppf(quantile)) * further**0.5)
    return mean, mean - half, mean + half


def noise_floor(agents: int, steps: int) -> float:
    """The expected mean squared gradient of `noise_alone`, exactly.

    The mean of the agents moves as xbar <- (1 - alpha) xbar - alpha w with E |w|^2 = 1 / N, from the optimum.
    """
    rate = speed_up(agents, steps)
    left = (1 - rate) ** 2
    return rate**2 / agents * (1 - (1 - left**steps) / (steps * (1 - left))) / (1 - left)


def exact_exponents() -> tuple[float, float]:
    """Of K and of N in `noise_floor`, on the same grid as what is measured."""
    expected = numpy.array([[[noise_floor(n, k)] * 2 for n in AGENTS] for k in STEPS])
    of_steps, of_agents = exponents(STEPS, AGENTS, expected)
    return of_steps[0], of_agents[0]


def rate_rows() -> Iterator[Row]:
    """Exponents of K and N on a well connected graph, where noise rules and on a nonconvex problem.

    Those of noise alone are known exactly; on so small a grid they are not -1/2.
    """
    exact = (*exact_exponents(), ROUGHNESS)
    half = (-0.5, -0.5, TOLERANCE)
    for setting, problem, expected in ((noise_alone, "quadratic", exact), (nonconvex, "separable", half)):
        found = mean_squared_gradients(setting, EXPONENTIAL, STEPS, AGENTS, SEEDS)
        *both, tolerance = expected
        for name, exponent, wanted in zip("KN", exponents(STEPS, AGENTS, found), both, strict=True):
            yield _row(name, exponent, problem, wanted, tolerance)


def rate_controls() -> Iterator[Row]:
    """A step size that does not grow with the number of agents, or shrink with that of steps."""
    for what, which, step_size in (
        ("the step size does not shrink with K", "K", lambda agents, steps: agents**0.5 / 50),
        ("the step size does not grow with N", "N", lambda agents, steps: steps**-0.5),
    ):
        found = mean_squared_gradients(noise_alone, EXPONENTIAL, STEPS, AGENTS, SEEDS, step_size)
        exponent = exponents(STEPS, AGENTS, found)["KN".index(which)]
        yield _row(which, exponent, "quadratic").as_control(what)


def _row(
    of: str, exponent: Numbers, problem: str, expected: float = -0.5, tolerance: float = TOLERANCE
) -> Row:
    """The distance of the exponent of K or N from what is ``expected``; the interval is the exponent's."""
    mean, low, high = exponent
    apart, half = abs(mean - expected), (high - low) / 2
    wanted = "-1/2" if expected == -0.5 else f"{expected:.3f}, that of the noise floor"
    said = ("rate", f"the exponent of {of} is {wanted}", f"distance, exponent {mean:.4f}")
    numbers = (apart, max(0.0, apart - half), apart + half, tolerance)
    return Row(*said, EXPONENTIAL.label(), None, None, *numbers, seeds=SEEDS, problem=problem)
