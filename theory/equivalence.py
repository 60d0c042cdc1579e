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
from typing_extensions import override

from dimat.communication.in_process import InProcess
from dimat.methods.every_step import Synchronous
from dimat.randomness import Randomness
from theory.lift import Lift
from theory.problems import Problem
from theory.runs import Learners


class Lifted(InProcess):
    """Links whose receiver i re-orders what j sends by P_ij; a single number stands for each coordinate."""

    def __init__(self, lift: Lift) -> None:
        super().__init__(lift.mixing)
        self.lift = lift

    @override
    def mix(self, values: Tensor, kind: str, matrix: ndarray | None = None) -> Tensor:
        """W X; there is one W."""
        return torch.from_numpy(self.lift.apply(values.expand(-1, self.lift.size).numpy()))


class Shuffled(Learners):
    """Learners whose coordinates and samples stand where ``lift.aligned`` finds them: Q_i x_i."""

    def __init__(
        self, problem: Problem, start: ndarray, steps: int, randomness: Randomness, lift: Lift
    ) -> None:
        super().__init__(problem, start, 1, steps, randomness)
        frames = numpy.stack([lift.frames[agent] for agent in range(lift.agents)])
        self.coordinates = torch.from_numpy(frames).argsort(1)
        self.parameters = self.parameters.gather(1, self.coordinates)

    @override
    def draws(self, round: int) -> Iterator[Tensor]:
        return (noise.gather(1, self.coordinates) for noise in super().draws(round))


def difference(
    method: Synchronous, problem: Problem, lift: Lift, steps: int, start: ndarray, randomness: Randomness
) -> float:
    """How far merging by ``lift`` is from plain gossip, in frames along its spanning tree, after all steps.

    That is |Q^T X - Y| / |Y|, for the same ``start`` (agents, dimensions) and noise in both.
    """
    plain = Learners(problem, start, 1, steps, randomness)
    method.learn(plain, InProcess(lift.mixing), round=1)
    lifted = Shuffled(problem, start, steps, randomness, lift)
    method.learn(lifted, Lifted(lift), round=1)
    expected = plain.parameters.numpy()
    back = lift.aligned(lifted.parameters.numpy())
    return float(numpy.linalg.norm(back - expected) / numpy.linalg.norm(expected))
