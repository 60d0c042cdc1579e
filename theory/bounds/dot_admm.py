"""How fast DOT-ADMM gets to its fixed points over links that fail: on quadratics, exactly, against a bound.

One communication is z <- T z, T = (1 - alpha) I + alpha R. R reflects each agent's part of z in its proximal
operator and swaps both ends of links, so it is nonexpansive. With every fixed point z*:

- |T z - z*|^2 = (1 - alpha) |z - z*|^2 + alpha |R z - z*|^2 - alpha (1 - alpha) |z - R z|^2
  <= |z - z*|^2 - (1 - alpha) / alpha |z - T z|^2, as z - T z = alpha (z - R z).
- Where each arc e is updated with probability p_e, together with others or not, and else kept, the next
  z' has E sum_e |z'_e - z*_e|^2 / p_e = sum_e |z_e - z*_e|^2 / p_e + |T z - z*|^2 - |z - z*|^2.
- Losses are quadratic, so z - T z is linear in z - z*, and dist(z) <= gamma |z - T z|, dist to the fixed
  points and 1 / gamma the smallest singular value of I - M that is not 0, M the linear part of T.

With dist_p in the norm of the weights 1 / p_e, dist_p^2 <= dist^2 / p with the smallest p of all. So
E dist_p^2 shrinks by 1 - p (1 - alpha) / (alpha gamma^2) or more at each communication. Bastianello, Deplano,
Franceschelli and Johansson (2025) prove a linear rate from such a gamma; these constants are derived here.

What it is compared with is the largest factor of all z, of one communication: the largest generalized
eigenvalue of E dist_p(z')^2 against dist_p(z)^2, two quadratic forms that are known in closed form.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product, repeat
from typing import Any

import numpy
import torch
from numpy import ndarray
from scipy import linalg
from torch import Tensor
from typing_extensions import override

from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.methods.dot_admm import DotAdmm
from dimat.randomness import Randomness
from dimat.tasks.task import Metric
from dimat.tasks.vector_task import VectorTask
from dimat.topology import Graph
from theory.gap.graphs import PUBLISHED, RING
from theory.rows import ROUND_OFF, Row, exactly

AGENTS = 6
DIMENSIONS = 2
LEAST, MOST = 0.5, 2.5
OPTIONS = ((0.5, 1.0), (0.5, 0.1), (0.9, 1.0))
"""Pairs of relaxation and penalty."""
FAILURES: tuple[dict[str, Any], ...] = (
    {},
    {"link_failures": 0.1, "one_way": True},
    {"link_failures": 0.5, "one_way": True},
    {"agent_failures": 0.3},
)
COMMUNICATIONS, LOCAL_STEPS = 5, 80
"""Of the library's method, which are enough for its minimization to be exact."""


@dataclass(frozen=True, eq=False)
class Operator:
    """T of agents with losses x^T A_i x / 2; z (arcs * d,) has z_ij, kept by i, at arc (i, j).

    ``curvature`` is A (agents, d, d), positive definite. Other minimizers move fixed points alone.
    """

    graph: Graph
    curvature: ndarray
    relaxation: float
    penalty: float

    @classmethod
    def drawn(cls, graph: Graph, relaxation: float, penalty: float) -> "Operator":
        """With eigenvalues of all A_i from `LEAST` to `MOST`."""
        generator = Randomness("DOT-ADMM", 0).numpy("curvature")
        turns = numpy.linalg.qr(generator.standard_normal((AGENTS, DIMENSIONS, DIMENSIONS)))[0]
        values = generator.uniform(LEAST, MOST, (AGENTS, 1, DIMENSIONS))
        return cls(graph, turns * values @ turns.swapaxes(1, 2), relaxation, penalty)

    @property
    def agents(self) -> int:
        """The number of agents N."""
        return len(self.curvature)

    @cached_property
    def arcs(self) -> list[tuple[int, int]]:
        """All (i, j) that a link joins, both ways."""
        edges = self.graph.edges(self.agents)
        return sorted([*edges, *((j, i) for i, j in edges)])

    @cached_property
    def linear(self) -> ndarray:
        """M (arcs * d, arcs * d)."""
        place = {arc: position for position, arc in enumerate(self.arcs)}
        reflected = numpy.zeros((len(place), DIMENSIONS, len(place), DIMENSIONS))
        for (i, j), row in place.items():
            near = [own for own in self.arcs if own[0] == j]
            weight = self.penalty * len(near) * numpy.eye(DIMENSIONS)
            moved = 2 * self.penalty * numpy.linalg.inv(self.curvature[j] + weight)
            for own in near:
                reflected[row, :, place[own]] += moved
            reflected[row, :, place[j, i]] -= numpy.eye(DIMENSIONS)
        size = len(place) * DIMENSIONS
        return (1 - self.relaxation) * numpy.eye(size) + self.relaxation * reflected.reshape(size, size)

    @cached_property
    def fixed(self) -> ndarray:
        """An orthonormal basis (arcs * d, k) of the fixed points."""
        return linalg.null_space(numpy.eye(len(self.linear)) - self.linear, rcond=1e-9)

    @cached_property
    def gamma(self) -> float:
        """dist(z) is at most so many times |z - T z|."""
        singular = linalg.svdvals(numpy.eye(len(self.linear)) - self.linear)
        return float(1 / singular[: len(singular) - self.fixed.shape[1]].min())

    @cached_property
    def cases(self) -> list[tuple[float, ndarray]]:
        """For each set of agents in reach, its probability and those that arcs (arcs,) are updated then."""
        sleeps, lost = self.graph.agent_failures, self.graph.link_failures
        found = []
        for reached in product((1, 0), repeat=self.agents) if sleeps else [(1,) * self.agents]:
            probability = float(numpy.prod([1 - sleeps if each else sleeps for each in reached]))
            updated = [(1 - lost) * reached[i] * reached[j] for i, j in self.arcs]
            found.append((probability, numpy.array(updated)))
        return found

    @cached_property
    def updated(self) -> ndarray:
        """The probability that an arc is updated (arcs,)."""
        return sum((weight * p for weight, p in self.cases), numpy.zeros(len(self.arcs)))

    @cached_property
    def forms(self) -> tuple[ndarray, ndarray]:
        """Quadratic forms (arcs * d, arcs * d): E dist_p(z')^2, one communication later, and dist_p(z)^2."""
        each = numpy.ones(DIMENSIONS)
        weights = numpy.diag(numpy.kron(1 / self.updated, each))
        onto = weights @ self.fixed
        distance = weights - onto @ numpy.linalg.solve(self.fixed.T @ onto, onto.T)
        move = self.linear - numpy.eye(len(self.linear))
        own = distance * numpy.kron(numpy.eye(len(self.arcs)), numpy.ones((DIMENSIONS, DIMENSIONS)))
        after = numpy.zeros_like(distance)
        for weight, p in self.cases:
            mean = numpy.eye(len(move)) + numpy.kron(p, each)[:, None] * move
            spread = numpy.kron(p * (1 - p), each)[:, None] * own
            after += weight * (mean.T @ distance @ mean + move.T @ spread @ move)
        return after, distance

    def factor(self) -> float:
        """The largest ratio of both `forms`."""
        others = linalg.null_space(self.fixed.T)
        after, before = (others.T @ form @ others for form in self.forms)
        return float(linalg.eigh(after, before, eigvals_only=True)[-1])

    def bound(self, gamma: float | None = None, relaxation: float | None = None) -> float:
        """The bound on `factor`; constants that are given stand for the right ones."""
        gamma, alpha = gamma or self.gamma, relaxation or self.relaxation
        return 1 - float(self.updated.min()) * (1 - alpha) / (alpha * gamma**2)


class Curved(VectorTask):
    """Losses x^T A_i x / 2 with the ``curvature`` A (agents, d, d), whose common minimizer is 0."""

    metric = Metric("loss", "loss", better="lower")

    def __init__(self, curvature: ndarray, start: ndarray) -> None:
        self.agents = len(curvature)
        self.curvature, self.start = torch.from_numpy(curvature), torch.from_numpy(start)

    @override
    def samples(self, agent: int, round: int) -> Iterator[None]:
        return repeat(None)

    @override
    def gradient(self, agent: int, point: Tensor, sample: None) -> Tensor:
        return self.curvature[agent] @ point

    @override
    def evaluate(self, agent: int, point: Tensor) -> dict[str, float]:
        return {"loss": float(point @ self.curvature[agent] @ point) / 2}


def library_difference(operator: Operator, forgets: bool = False) -> float:
    """The largest difference of z between the library's method and T, after `COMMUNICATIONS`.

    ``forgets``: T takes what is lost for 0, as receivers do that forget to look whether something came.
    """
    graph, rho, alpha = operator.graph, operator.penalty, operator.relaxation
    randomness = Randomness("DOT-ADMM", 0)
    start = randomness.numpy("start").standard_normal((AGENTS, DIMENSIONS))
    agents = Vectors(
        Curved(operator.curvature, start), randomness, steps_per_epoch=COMMUNICATIONS * LOCAL_STEPS
    )
    links = InProcess(
        lambda time: graph.mixing_at(AGENTS, time, randomness), whole=graph.mixing_matrix(AGENTS)
    )
    degrees = [len(links.neighbours(agent)) for agent in range(AGENTS)]
    rate = 2 / (LEAST + MOST + rho * (min(degrees) + max(degrees)))
    method = DotAdmm(penalty=rho, relaxation=alpha, local_steps=LOCAL_STEPS, learning_rate=rate)
    method.learn(agents, links, 1)

    z = numpy.concatenate([rho * start[i] for i, _ in operator.arcs])
    for time in range(COMMUNICATIONS):
        mixing = graph.mixing_at(AGENTS, time, randomness)
        arrived = numpy.repeat([mixing[arc] > 0 for arc in operator.arcs], DIMENSIONS)
        z = numpy.where(arrived, operator.linear @ z, (1 - alpha) * z if forgets else z)
    found = numpy.concatenate([agents.state["z", arc].numpy() for arc in operator.arcs])
    return float(abs(found - z).max())


def dot_admm_rows() -> Iterator[Row]:
    """The library's method against T, and how fast T gets to its fixed points."""
    for graph, failures in product(PUBLISHED, FAILURES):
        yield _library_row(Operator.drawn(graph.model_copy(update=failures), 0.5, 1.0))
    for graph, options, failures in product(PUBLISHED, OPTIONS, FAILURES):
        operator = Operator.drawn(graph.model_copy(update=failures), *options)
        yield _factor_row(operator, operator.bound())


def dot_admm_controls() -> Iterator[Row]:
    """Constants that are claimed too small, and receivers that do not keep z."""
    operator = Operator.drawn(RING.model_copy(update={"link_failures": 0.5, "one_way": True}), 0.5, 1.0)
    yield _factor_row(operator, operator.bound(gamma=operator.gamma / 4)).as_control("a quarter of gamma")
    yield _factor_row(operator, operator.bound(relaxation=0.05)).as_control("a tenth of alpha")
    yield _library_row(operator, forgets=True).as_control("what is lost is taken for 0")


def _library_row(operator: Operator, forgets: bool = False) -> Row:
    """Round-off, where both are the same."""
    said = ("dot-admm", "DOT-ADMM is its operator", "difference of z")
    numbers = (*exactly(library_difference(operator, forgets)), ROUND_OFF)
    return Row(*said, operator.graph.label(), AGENTS, COMMUNICATIONS, *numbers, problem="least squares")


def _factor_row(operator: Operator, bound: float) -> Row:
    """The factor of one communication against a ``bound``."""
    options = f"alpha {operator.relaxation:g}, rho {operator.penalty:g}"
    said = ("dot-admm", f"E dist^2 shrinks by 1 - p (1 - alpha) / (alpha gamma^2), {options}", "factor")
    numbers = (*exactly(operator.factor()), bound)
    return Row(*said, operator.graph.label(), AGENTS, 1, *numbers, problem="least squares")
