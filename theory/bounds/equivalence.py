"""What is true of merging with permutations: where it is plain gossip in another frame, exactly.

Merging with permutations is X <- W X with the blocks W_ij = pi_ij P_ij. If they are consistent,
P_ij = Q_i Q_j^T, and no loss is changed by a permutation of coordinates, f_i(Q x) = f_i(x), then gradients
satisfy grad f_i(Q x) = Q grad f_i(x), and y_i = Q_i^T x_i follows X <- (Pi kron I) X with the same gradients:
plain decentralized training. That holds for every rule that treats coordinates alike: momentum, Adam.
The difference of both is then round-off. It is not where one of the two conditions fails.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy
import torch
from numpy import ndarray
from torch import Tensor
from typing_extensions import override

from dimat.agents.optimizers import Adam, AnyOptimizer, Momentum, Sgd
from dimat.agents.vectors import Vectors
from dimat.communication.communicator import Link, Message
from dimat.communication.in_process import InProcess
from dimat.merging.options import Merging
from dimat.methods.cdmsgd import Cdmsgd
from dimat.methods.cdsgd import Cdsgd
from dimat.methods.every_step import Synchronous
from dimat.randomness import Randomness
from theory.bounds.gossip_adam import GossipAdam
from theory.bounds.network_equivalence import AGENTS as NETWORKS
from theory.bounds.network_equivalence import ALIGNED, AS_THEY_STAND, network_difference
from theory.bounds.settings import Setting
from theory.gap.graphs import RING
from theory.gap.lift import Lift
from theory.gap.permutations import consistent, independent
from theory.problems import Problem, Quadratic, Separable
from theory.problems.problem import DIMENSIONS
from theory.problems.task import ProblemTask
from theory.rows import ROUND_OFF, Row, exactly

STEPS = 200
AGENTS = 8
RATE = 0.05
SINGLE_ROUND_OFF = 1e-5
"""Of networks in single precision, trained in another order of their neurons."""


class Lifted(InProcess):
    """Links whose receiver i re-orders what j sends by P_ij; single numbers stay as they are."""

    def __init__(self, lift: Lift) -> None:
        super().__init__(lift.mixing)
        self.lift = lift

    @override
    def mix(self, values: Tensor, kind: str, matrix: ndarray | None = None) -> Tensor:
        """W X; there is one W."""
        return torch.from_numpy(self.lift.apply(values.numpy()))

    @override
    def _deliver(self, messages: Mapping[Link, Message]) -> dict[Link, Any]:
        return {
            (j, i): self._received(message, torch.from_numpy(self.lift.permutations[i, j]))
            for (j, i), message in messages.items()
        }

    @staticmethod
    def _received(message: Message, order: Tensor) -> Message:
        if isinstance(message, Tensor):
            return message[order]
        return {name: part if part.numel() == 1 else part[order] for name, part in message.items()}


class Shuffled(ProblemTask):
    """A problem whose coordinates and noise stand where ``lift.aligned`` finds them: Q_i x_i."""

    def __init__(self, problem: Problem, start: ndarray, randomness: Randomness, lift: Lift) -> None:
        super().__init__(problem, start, 1, randomness)
        frames = numpy.stack([lift.frames[agent] for agent in range(lift.agents)])
        self.coordinates = torch.from_numpy(frames).argsort(1)
        self.start = self.start.gather(1, self.coordinates)

    @override
    def noises(self, round: int) -> Iterator[Tensor]:
        return (noise.gather(1, self.coordinates) for noise in super().noises(round))


def difference(
    method: Synchronous, problem: Problem, lift: Lift, steps: int, start: ndarray, randomness: Randomness
) -> float:
    """How far merging by ``lift`` is from plain gossip, in frames along its spanning tree, after all steps.

    That is |Q^T X - Y| / |Y|, for the same ``start`` (agents, dimensions) and noise in both.
    """
    plain, lifted = (
        Vectors(task, randomness, steps_per_epoch=steps)
        for task in (
            ProblemTask(problem, start, 1, randomness),
            Shuffled(problem, start, randomness, lift),
        )
    )
    method.learn(plain, InProcess(lift.mixing), round=1)
    method.learn(lifted, Lifted(lift), round=1)
    expected = plain.parameters.numpy()
    back = lift.aligned(lifted.parameters.numpy())
    return float(numpy.linalg.norm(back - expected) / numpy.linalg.norm(expected))


def equivalence_rows() -> Iterator[Row]:
    """Consistent permutations and losses without an order of coordinates: merging is plain gossip."""
    problem, start = Setting("gossip", "separable", RING, AGENTS, 1.0, STEPS).build()
    for kind in (Cdsgd, Cdmsgd, GossipAdam):
        generator = Randomness("equivalence", 0).numpy("frames")
        lift = consistent(RING.mixing_matrix(AGENTS), problem.dimensions, generator)
        yield _problem_row(kind(learning_rate=RATE), problem, start, lift)
    for optimizer in (Sgd(), Momentum(), Adam()):
        yield _network_row(optimizer, ALIGNED)


def equivalence_controls() -> Iterator[Row]:
    """Losses with an order of coordinates, permutations that close no cycle, and none at all."""
    generator = Randomness("controls", 0).numpy("equivalence")
    shape = (AGENTS, DIMENSIONS)
    start, mixing = generator.standard_normal(shape), RING.mixing_matrix(AGENTS)
    ordered = Quadratic(generator.uniform(0.5, 2, DIMENSIONS), generator.standard_normal(shape), sigma=1.0)
    alike = Separable(numpy.ones(AGENTS), generator.uniform(-1, 1, AGENTS), DIMENSIONS, sigma=1.0)
    method = Cdsgd(learning_rate=RATE)
    for what, problem, permuted in (
        ("the loss tells coordinates apart", ordered, consistent),
        ("permutations are inconsistent", alike, independent),
    ):
        lift = permuted(mixing, DIMENSIONS, generator)
        yield _problem_row(method, problem, start, lift).as_control(what)
    yield _network_row(Adam(), AS_THEY_STAND).as_control("networks are not permuted back")


def _problem_row(method: Synchronous, problem: Problem, start: ndarray, lift: Lift) -> Row:
    """The difference of merging by ``lift`` from plain gossip on a ring."""
    apart = difference(method, problem, lift, STEPS, start, Randomness("equivalence", 0))
    said = ("equivalence", f"permuted {method.title} is plain", "relative difference")
    how = {"step_size": method.learning_rate, "problem": problem.name}
    return Row(*said, "ring", problem.agents, STEPS, *exactly(apart), ROUND_OFF, **how)


def _network_row(optimizer: AnyOptimizer, merging: Merging) -> Row:
    """The difference of shuffled networks, merged by DIMAT, from those that are averaged."""
    apart = network_difference(optimizer, merging)
    said = ("equivalence", f"DIMAT of shuffled networks is WA, {optimizer.name}", "relative difference")
    how = {"step_size": optimizer.learning_rate, "problem": "network on digits"}
    return Row(*said, "ring", NETWORKS, None, *exactly(apart), SINGLE_ROUND_OFF, **how)
