"""Where Dif-MAML comes to rest on quadratic losses: how far apart its agents are, and from the optimum.

Losses are Q_i(x) = (x - c_i)^T A_i (x - c_i) / 2, so with a step of adaptation of size a they are
J_i(x) = (x - c_i)^T B_i (x - c_i) / 2, B_i = (I - a A_i) A_i (I - a A_i). One step of Dif-MAML with SGD is
X <- W (X - alpha G), G with the gradients of J_i in its rows, W symmetric or not, but doubly stochastic. With
sqrt(rho) = |W - 11^T / N|_2 and means over agents written mean:

- At rest X = W (X - alpha G), so |X - mean X|_F <= sqrt(rho) (|X - mean X|_F + alpha |G - mean G|_F), or
  |X - mean X|_F <= alpha sqrt(rho) / (1 - sqrt(rho)) |G - mean G|_F.
- Columns of W sum to 1, so mean G = 0 at rest: with x* the minimizer of the mean of all J_i,
  (mean B)(mean X - x*) = -mean of B_i (x_i - mean X), and
  |mean X - x*| <= (largest eigenvalue of all B_i) / (smallest one of mean B) |X - mean X|_F / sqrt(N).

Kayaalp, Vlaski and Sayed (2022) claim agreement, and a stationary point of the mean of all J_i, in general;
these constants are derived here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product, repeat

import numpy
import torch
from numpy import ndarray
from torch import Tensor
from typing_extensions import override

from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.methods.dif_maml import DifMaml, equal_weights
from dimat.randomness import Randomness
from dimat.tasks.task import Metric
from dimat.tasks.vector_task import VectorTask
from dimat.topology import EdgeList, Graph, second_eigenvalue
from theory.gap.graphs import CHAIN, RING, TWO_HUB
from theory.rows import ROUND_OFF, Row, exactly

AGENTS = 6
DIMENSIONS = 3
INNER = 0.2
LEAST, MOST = 0.5, 2.5
"""Eigenvalues of all A_i lie in between."""
RATES = (0.1, 0.01)
KAYAALP = EdgeList(edge_list=((0, 2), (1, 2), (2, 3), (2, 4), (3, 4), (4, 5)))
"""The graph of the published experiment."""
GRAPHS: tuple[Graph, ...] = (KAYAALP, RING, CHAIN, TWO_HUB)


class AdaptedQuadratics(VectorTask):
    """Losses (x - c_i)^T A_i (x - c_i) / 2 without noise, of agents who start anywhere."""

    metric = Metric("loss", "loss", better="lower")
    agents = AGENTS

    def __init__(self) -> None:
        self.randomness = Randomness("Dif-MAML", 0)
        generator = self.randomness.numpy("losses")
        turns = numpy.linalg.qr(generator.standard_normal((AGENTS, DIMENSIONS, DIMENSIONS)))[0]
        values = generator.uniform(LEAST, MOST, (AGENTS, 1, DIMENSIONS))
        self.curvature = torch.from_numpy(turns * values @ turns.swapaxes(1, 2))
        self.centers = torch.from_numpy(generator.standard_normal((AGENTS, DIMENSIONS)))
        self.start = torch.zeros(AGENTS, DIMENSIONS, dtype=torch.float64)

    @override
    def samples(self, agent: int, round: int) -> Iterator[None]:
        return repeat(None)

    @override
    def gradient(self, agent: int, point: Tensor, sample: None) -> Tensor:
        return self.curvature[agent] @ (point - self.centers[agent])

    @override
    def evaluate(self, agent: int, point: Tensor) -> dict[str, float]:
        return {"loss": float((point - self.centers[agent]) @ self.gradient(agent, point, None)) / 2}

    @property
    def adapted(self) -> ndarray:
        """The B_i (agents, d, d)."""
        pull = torch.eye(DIMENSIONS) - INNER * self.curvature
        return (pull @ self.curvature @ pull).numpy()

    def optimum(self) -> ndarray:
        """x* (d,)."""
        weighted = numpy.einsum("iab,ib->a", self.adapted, self.centers.numpy())
        return numpy.linalg.solve(self.adapted.sum(0), weighted)

    def rest(self, mixing: ndarray, rate: float) -> ndarray:
        """The X (agents, d) that a step with ``mixing`` leaves where it is."""
        blocks = numpy.zeros((AGENTS, DIMENSIONS, AGENTS, DIMENSIONS))
        blocks[range(AGENTS), :, range(AGENTS), :] = rate * self.adapted
        size = AGENTS * DIMENSIONS
        blocks, spread = blocks.reshape(size, size), numpy.kron(mixing, numpy.eye(DIMENSIONS))
        system = numpy.eye(size) - spread @ (numpy.eye(size) - blocks)
        return numpy.linalg.solve(system, spread @ blocks @ self.centers.numpy().ravel()).reshape(AGENTS, -1)


@dataclass(frozen=True)
class AtRest:
    """The ``points`` (agents, d) that the library's method gives at rest, and its ``gradients`` there."""

    points: ndarray
    gradients: ndarray

    @classmethod
    def found(cls, task: AdaptedQuadratics, mixing: ndarray, rate: float, combination: str) -> "AtRest":
        """After a step from where a step should move nothing."""
        method = DifMaml.model_validate(
            {"outer": "sgd", "learning_rate": rate, "inner_rate": INNER, "combination": combination}
        )
        weights = mixing if combination == "mixing" else equal_weights(mixing)
        agents = Vectors(task, task.randomness, steps_per_epoch=1)
        agents.parameters = torch.from_numpy(task.rest(weights, rate))
        (step,) = agents.steps(1)
        gradients = step.meta_gradients(agents.parameters, INNER).numpy()
        method.learn(agents, InProcess(mixing), round=1)
        return cls(agents.parameters.numpy(), gradients)

    @property
    def apart(self) -> float:
        """|X - mean X|_F."""
        return float(numpy.linalg.norm(self.points - self.points.mean(0)))

    def bound(self, root: float, rate: float) -> float:
        """What `apart` is at most, with sqrt(rho) = ``root``."""
        spread = numpy.linalg.norm(self.gradients - self.gradients.mean(0))
        return float(rate * root / (1 - root) * spread)


def rest_rows() -> Iterator[Row]:
    """Both bounds on every graph, at a large and a small rate."""
    for graph, rate in product(GRAPHS, RATES):
        yield from _rows(graph, rate, second_eigenvalue(graph.mixing_matrix(AGENTS)))


def rest_controls() -> Iterator[Row]:
    """A rho of a faster graph; and weights that are not doubly stochastic, with which the mean is biased."""
    for graph in (RING, CHAIN):
        first, _ = _rows(graph, RATES[1], second_eigenvalue(graph.mixing_matrix(AGENTS)) / 10)
        yield first.as_control("sqrt(rho) ten times smaller")
    _, second = _rows(KAYAALP, RATES[1], second_eigenvalue(KAYAALP.mixing_matrix(AGENTS)), "mean")
    yield second.as_control("the published weights, the same for all neighbours")


def _rows(graph: Graph, rate: float, root: float, combination: str = "mixing") -> Sequence[Row]:
    """Both rows of one setting, with sqrt(rho) = ``root``."""
    task = AdaptedQuadratics()
    found = AtRest.found(task, graph.mixing_matrix(AGENTS), rate, combination)
    apart = found.bound(root, rate)
    curved = numpy.linalg.eigvalsh(task.adapted).max() / numpy.linalg.eigvalsh(task.adapted.mean(0)).min()
    off = float(numpy.linalg.norm(found.points.mean(0) - task.optimum()))
    label = "that of Kayaalp et al." if graph is KAYAALP else graph.label()
    where, how = (label, AGENTS, None), {"step_size": rate, "problem": "quadratic"}
    title = "Dif-MAML at rest"
    return (
        Row("disagreement.dif_maml", title, "|X - mean X|", *where, *exactly(found.apart), apart, **how),
        Row("optimum.dif_maml", title, "|mean X - x*|", *where, *exactly(off),
            curved * apart / AGENTS**0.5 + ROUND_OFF, **how),
    )  # fmt: skip
