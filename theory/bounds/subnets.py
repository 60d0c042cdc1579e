"""Independent subnet training on quadratics: where it ends, and what its published theory says of it.

The theory is that of Shulgin and Richtarik 2024 (arXiv 2306.16484), as in the text that was submitted. All
numbers are exact: every deal is gone through.

Its first theorem: where b = 0, W = E[L B + B L] / 2 is positive semidefinite and E[B L B] <= theta W, steps
of at most 1 / theta shrink E|x|_L^2 by 1 - step lambda_min(L^(-1/2) W L^(-1/2)).

Its second, for losses whose L_i have ones on the diagonal and sketches n^(1/2) P_i of single coordinates: for
0 < beta < 1/2 and steps of at most (1/2 - beta) / (1/2 + beta), the mean of E|grad f(x_k)|^2 over K steps, in
the norm of L^-1, is at most 2 (f(x_0) - E f(x_K)) / (step K) + (2 (1 - step) / beta + step) |h|_L^2
+ step sigma^2, with the bias h and the variance sigma^2 of c, in the norm of L.
"""

from collections.abc import Iterator
from itertools import count

import numpy
import torch
from numpy import ndarray
from torch import Tensor
from typing_extensions import override

from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.methods.ist import Ist
from dimat.randomness import Randomness
from dimat.tasks.task import Metric
from dimat.tasks.vector_task import VectorTask
from theory.bounds.sketches import Sketched, squared
from theory.gap.graphs import COMPLETE
from theory.rows import ROUND_OFF, Row, exactly

DEALT = ((2, 2), (2, 3), (3, 2), (4, 1), (5, 1))
"""Numbers of agents and of coordinates of each."""
MANY = 10
STEPS = 50
RATE, LENGTH = 0.25, 400
"""Step size of the library's own method, and how many steps it takes."""


class OneQuadratic(VectorTask):
    """All agents have the same loss, x^T L x / 2 - b^T x, without noise, and start at 0."""

    metric = Metric("loss", "loss", better="lower")

    def __init__(self, curvature: ndarray, linear: ndarray, agents: int) -> None:
        self.agents = agents
        self.curvature, self.linear = torch.tensor(curvature), torch.tensor(linear)
        self.start = torch.zeros(agents, len(linear), dtype=torch.float64)

    @override
    def samples(self, agent: int, round: int) -> Iterator[int]:
        return count()

    @override
    def gradient(self, agent: int, point: Tensor, sample: int) -> Tensor:
        return self.curvature @ point - self.linear

    @override
    def evaluate(self, agent: int, point: Tensor) -> dict[str, float]:
        return {"loss": float(point @ self.curvature @ point / 2 - self.linear @ point)}


def fixed_point_rows() -> Iterator[Row]:
    """Where the method and its model end, against closed forms."""
    for local_steps in (1, 4):
        curvature, linear = _one(5, 1)
        at = _of_the_library(curvature, linear, 5, local_steps)
        said = f"the method ends at D^-1 b, {local_steps} steps a deal"
        yield _apart(said, at, linear / numpy.diagonal(curvature), 5, step_size=RATE)
    for agents, share in DEALT:
        drawn, expected = _alike(agents, share), _closed_form(agents, share)
        yield _apart("mean of the method", drawn.fixed_point, expected, agents, share)
        model = drawn.with_sketches(agents)
        yield _apart("mean of the model", model.fixed_point, expected / agents, agents, share)
    for agents in (3, 5):
        model = _alike(agents, 1).preconditioned().with_sketches(agents**0.5)
        end = model.linear[0] / agents**0.5
        yield _apart("the preconditioned model ends at n^(-1/2) b", model.fixed_point, end, agents)


def fixed_point_controls() -> Iterator[Row]:
    """The minimizer, which none of them ends at."""
    drawn = _alike(5, 1)
    curvature, linear = _one(5, 1)
    at = _of_the_library(curvature, linear, 5, 1)
    yield _apart("", at, drawn.minimizer, 5).as_control("the method ends at the minimizer")
    model = drawn.preconditioned().with_sketches(5**0.5)
    yield _apart("", model.fixed_point, model.minimizer, 5).as_control("preconditioning removes the bias")
    model = drawn.with_sketches(5)
    yield _apart("", model.fixed_point, drawn.fixed_point, 5).as_control("the model has no factor of its own")


def contraction_of_slices_rows() -> Iterator[Row]:
    """The worst start against the first theorem's factor, after one step and after several.

    Diagonals that are not too unlike leave W positive definite.
    """
    for agents, share in DEALT:
        for alike in (True, False):
            generator = Randomness(f"subnets, {agents} of {share}, {alike}", 0).numpy("losses")
            ones = Sketched.drawn(agents, share, generator, alike=alike).preconditioned()
            scaled = ones.scaled(generator.uniform(0.9, 1.1, ones.size))
            losses = "one loss" if alike else "a loss for each"
            for on_diagonal, drawn in {"ones": ones, "0.8 to 1.2": scaled}.items():
                if drawn is ones and share == 1:
                    continue  # the first step ends at 0, and so does the bound
                model = drawn.with_sketches(agents)
                for steps in (1, MANY):
                    step = 1 / model.theta
                    yield _contraction(model, step, steps, step, f"{losses}, {on_diagonal} on the diagonal")


def contraction_of_slices_controls() -> Iterator[Row]:
    """A step too large, and losses for which W is indefinite, as in the text's first remark."""
    generator = Randomness("subnets, controls", 0).numpy("losses")
    model = Sketched.drawn(3, 2, generator).preconditioned().with_sketches(3)
    largest = 1 / model.theta
    yield _contraction(model, 2.5 * largest, 1, 2.5 * largest, "").as_control(
        "two and a half of the largest step"
    )
    indefinite = numpy.array([[1.0, 1.9], [1.9, 4.0]])  # 2 a b / (a + b) < c < (a b)^(1/2)
    model = Sketched(numpy.stack([indefinite] * 2), numpy.zeros((2, 2))).with_sketches(2)
    row = _contraction(model, 0.05, 1, 0.0, "")
    yield row.as_control("W is indefinite, and E|x|^2 is to shrink all the same")


def gradient_of_slices_rows() -> Iterator[Row]:
    """The mean squared gradient against the second theorem."""
    for agents in (3, 4, 5):
        for beta in (0.1, 0.2, 0.3, 0.4):
            yield _gradient(_single(agents, beta), beta, bias=1.0)


def gradient_of_slices_controls() -> Iterator[Row]:
    """The bias left out; and, of losses without a bias, a third of the noise."""
    yield _gradient(_single(5, 0.1), 0.1, bias=0.0, steps=2000).as_control("the bias is left out")
    model = _single(5, 0.1)
    unbiased = Sketched(model.curvatures, model.linear - model.linear.mean(0), model.s, model.t)
    row = _gradient(unbiased, 0.1, bias=1.0, noise=1 / 3, steps=2000)
    yield row.as_control("a third of the noise")


def vanishing_bias_rows() -> Iterator[Row]:
    """|h| / |x*| for L_i = 1 and b_i all ones, as agents and coordinates grow together: does it fall?"""
    for fewer, more in ((4, 16), (16, 36), (36, 64)):
        said = ("subnet-bias", "the bias falls as n = d grows", "|h| / |x*|")
        how = {"strict": True, "problem": f"identity, from n = d = {fewer}"}
        yield Row(*said, COMPLETE.label(), more, None, *exactly(_bias(more)), _bias(fewer), **how)


def vanishing_bias_controls() -> Iterator[Row]:
    """A bias that is said to be small."""
    said = ("subnet-bias", "", "|h| / |x*|")
    row = Row(*said, COMPLETE.label(), 64, None, *exactly(_bias(64)), 0.1)
    yield row.as_control("a tenth at n = d = 64")


def _alike(agents: int, share: int) -> Sketched:
    """The method, on one dense loss."""
    generator = Randomness(f"subnets, {agents} of {share}", 0).numpy("losses")
    return Sketched.drawn(agents, share, generator, alike=True)


def _one(agents: int, share: int) -> tuple[ndarray, ndarray]:
    """L and b of that loss."""
    drawn = _alike(agents, share)
    return drawn.curvatures[0], drawn.linear[0]


def _closed_form(agents: int, share: int) -> ndarray:
    """(D + (q - 1) / (d - 1) (L - D))^-1 b: two coordinates are in one block as often."""
    curvature, linear = _one(agents, share)
    diagonal = numpy.diag(numpy.diagonal(curvature))
    together = (share - 1) / (len(linear) - 1)
    return numpy.linalg.solve(diagonal + together * (curvature - diagonal), linear)


def _of_the_library(curvature: ndarray, linear: ndarray, agents: int, local_steps: int) -> ndarray:
    """Where the library's own method ends, if each agent has a coordinate at a time."""
    task = OneQuadratic(curvature, linear, agents)
    learners = Vectors(task, Randomness("subnets", 0), steps_per_epoch=LENGTH)
    method = Ist(learning_rate=RATE, local_steps=local_steps)
    method.learn(learners, InProcess(COMPLETE.mixing_matrix(agents)), round=1)
    return learners.parameters[0].numpy()


def _apart(
    statement: str,
    found: ndarray,
    expected: ndarray,
    agents: int,
    share: int = 1,
    step_size: float | None = None,
) -> Row:
    """The relative distance of ``found`` from ``expected``."""
    distance = float(numpy.linalg.norm(found - expected) / numpy.linalg.norm(expected))
    said = ("subnet-fixed-point", statement, "relative difference")
    problem = f"one loss, blocks of {share}"
    how = {"step_size": step_size, "problem": problem}
    return Row(*said, COMPLETE.label(), agents, None, *exactly(distance), ROUND_OFF, **how)


def _contraction(model: Sketched, step: float, steps: int, claimed: float, problem: str) -> Row:
    """The worst start after some steps against the factor that the theorem gives for a step ``claimed``."""
    factor = 1 - claimed * max(model.least_descent, 0.0)
    limit = factor**steps * (1 + 1e-9)
    said = ("subnet-contraction", "E|x_k|^2 <= (1 - step lambda)^k |x_0|^2", "E|x_k|^2 / |x_0|^2")
    how = {"step_size": step, "problem": problem}
    return Row(*said, COMPLETE.label(), model.agents, steps, *exactly(model.worst(step, steps)), limit, **how)


def _single(agents: int, beta: float) -> Sketched:
    """The preconditioned model, with a loss for each agent and single coordinates."""
    generator = Randomness(f"subnets, gradients, {agents}, {beta}", 0).numpy("losses")
    return Sketched.drawn(agents, 1, generator).preconditioned().with_sketches(agents**0.5)


def _gradient(model: Sketched, beta: float, bias: float, noise: float = 1.0, steps: int = STEPS) -> Row:
    """The mean squared gradient from a random start, against the theorem with shares of bias and noise."""
    step = (0.5 - beta) / (0.5 + beta)
    start = Randomness("subnets, start", 0).numpy("x").standard_normal(model.size)
    measured, end = model.mean_squared_gradient(start, step, steps)
    limit = 2 * (model.loss(start) - end) / (step * steps)
    limit += bias * (2 * (1 - step) / beta + step) * squared(model.bias, model.curvature)
    limit += noise * step * float(numpy.trace(model.curvature @ model.covariance))
    said = ("subnet-gradients", f"mean E|grad f|^2, beta {beta:g}", "E|grad f|^2 in the norm of L^-1")
    how = {"step_size": step, "problem": "a loss for each, ones on the diagonal"}
    return Row(*said, COMPLETE.label(), model.agents, steps, *exactly(measured), limit, **how)


def _bias(agents: int) -> float:
    """|h| / |x*| where all L_i are the identity and all b_i ones: h = x* - n^(-3/2) sum_i D_i^(-1/2) b_i."""
    minimizer, linear = numpy.ones(agents), numpy.ones((agents, agents))
    bias = minimizer - linear.sum(0) / agents**1.5
    return float(numpy.linalg.norm(bias) / numpy.linalg.norm(minimizer))
