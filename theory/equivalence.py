"""What is true of merging with permutations: where it is plain gossip in another frame, exactly.

Merging with permutations is X <- W X with the blocks W_ij = pi_ij P_ij. If they are consistent,
P_ij = Q_i Q_j^T, and no loss is changed by a permutation of coordinates, f_i(Q x) = f_i(x), then gradients
satisfy grad f_i(Q x) = Q grad f_i(x), and y_i = Q_i^T x_i follows X <- (Pi kron I) X with the same gradients:
plain decentralized training. That holds for every rule that treats coordinates alike: momentum, Adam.
The difference of both is then round-off. It is not where one of the two conditions fails.
"""

from collections.abc import Iterator

import numpy
import torch
from numpy import ndarray
from torch import Tensor

from dimat.algorithms.gossip import Synchronous
from dimat.network.in_process import InProcess
from dimat.randomness import Randomness
from theory.problems import Problem
from theory.runs import Learners


class Lifted(InProcess):
    """Links of ``matrix`` (N, N) whose receiver i re-orders what j sends by ``orders[i, j]`` (N, N, d)."""

    def __init__(self, matrix: ndarray, orders: Tensor) -> None:
        super().__init__(matrix)
        self.orders = orders

    def mix(self, values: Tensor, kind: str, matrix: ndarray | None = None) -> Tensor:
        """See `Network.mix`: W X with the blocks pi_ij P_ij, by indexing."""
        weights = torch.tensor(self.mixing if matrix is None else matrix)
        received = values.expand(self.orders.shape).gather(2, self.orders)
        return torch.einsum("ij,ijd->id", weights, received)


class Shuffled(Learners):
    """Learners whose coordinates and samples stand in ``frames`` (N, d): place c has coordinate frame[c]."""

    def __init__(
        self, problem: Problem, start: ndarray, steps: int, randomness: Randomness, frames: Tensor
    ) -> None:
        super().__init__(problem, start, 1, steps, randomness)
        self.frames = frames
        self.parameters = self.parameters.gather(1, frames)

    def draws(self, round: int) -> Iterator[Tensor]:
        """See `Agents.draws`."""
        return (noise.gather(1, self.frames) for noise in super().draws(round))


def random_frames(agents: int, dimensions: int, generator: numpy.random.Generator) -> Tensor:
    """The orders Q_i of every agent (agents, dimensions)."""
    return torch.stack([torch.from_numpy(generator.permutation(dimensions)) for _ in range(agents)])


def consistent(frames: Tensor) -> Tensor:
    """The P_ij = Q_i Q_j^T (agents, agents, dimensions) that lead from frame to frame."""
    return torch.stack([frames.argsort(1)[:, frame] for frame in frames])


def inconsistent(agents: int, dimensions: int, generator: numpy.random.Generator) -> Tensor:
    """Random P_ij with P_ji = P_ij^T and P_ii = I, whose products along cycles are no identities."""
    orders = torch.arange(dimensions).repeat(agents, agents, 1)
    for i in range(agents):
        for j in range(i):
            orders[i, j] = torch.from_numpy(generator.permutation(dimensions))
            orders[j, i] = orders[i, j].argsort()
    return orders


def difference(
    method: Synchronous,
    problem: Problem,
    mixing: ndarray,
    steps: int,
    start: ndarray,
    frames: Tensor,
    orders: Tensor,
    randomness: Randomness,
) -> float:
    """How far merging with ``orders`` in ``frames`` is from plain gossip, after ``steps`` steps.

    That is |Q^T X - Y| / |Y|, for the same ``start`` (agents, dimensions) and noise in both.
    """
    plain = Learners(problem, start, 1, steps, randomness)
    method.learn(plain, InProcess(mixing), round=1)
    lifted = Shuffled(problem, start, steps, randomness, frames)
    method.learn(lifted, Lifted(mixing, orders), round=1)
    back = lifted.parameters.gather(1, frames.argsort(1))
    return float((back - plain.parameters).norm() / plain.parameters.norm())
