"""Agents with quadratic losses, whose gradients are known."""

from itertools import count, islice

import torch

from dimat.agents.agents import Agents
from dimat.communication.in_process import InProcess
from dimat.randomness import Randomness
from dimat.topology import Ring

RATE = 0.07
STEPS = 6
"""Steps in a round of `Quadratics`."""
RING = Ring().mixing_matrix(5)


class Quadratics(Agents):
    """f_i(x) = (x - c_i)^T A_i (x - c_i) / 2 in double precision; a sample is the noise of the gradient."""

    def __init__(self, agents=5, size=4, noise=0.0, seed=0):
        super().__init__(agents, Randomness("quadratics", seed))
        self.epochs, self.steps_per_epoch = 2, STEPS // 2
        self.noise = noise
        generator = torch.Generator().manual_seed(seed)
        root = torch.randn(agents, size, size, generator=generator, dtype=torch.float64)
        self.curvature = root @ root.mT / size + 0.1 * torch.eye(size, dtype=torch.float64)
        self.center = torch.randn(agents, size, generator=generator, dtype=torch.float64)
        self.x = torch.randn(agents, size, generator=generator, dtype=torch.float64)

    @property
    def parameters(self):
        return self.x.clone()

    @parameters.setter
    def parameters(self, values):
        self.x = values.clone()

    def samples(self, row, round):
        generator = self.randomness.numpy("noise", agent=self.mine[row], round=round)
        return (self.noise * torch.from_numpy(generator.normal(size=self.x.shape[1])) for _ in count())

    def gradient(self, row, sample, point, *, own=True):
        return self.curvature[row] @ (point - self.center[row]) + sample

    def noises(self, rounds):
        """What `samples` gives in so many rounds, (steps, agents, size)."""
        per_agent = [
            [draw for round in range(1, rounds + 1) for draw in islice(self.samples(row, round), STEPS)]
            for row in range(self.agents)
        ]
        return torch.stack([torch.stack(draws) for draws in per_agent], dim=1)

    def all_gradients(self, x):
        return torch.einsum("iab,ib->ia", self.curvature, x - self.center)


def iterates(method, agents, matrix, rounds=2):
    """The network, after all steps of some rounds; parameters are those of ``agents``."""
    network = InProcess(matrix)
    for round in range(1, rounds + 1):
        method.learn(agents, network, round)
    return network


def recursion(agents, matrix, step, rounds=2):
    """X after all steps; ``step(x, g, k)`` gives the next X from X and the noisy gradients G(X)."""
    x = agents.parameters
    for k, noise in enumerate(agents.noises(rounds)):
        x = step(x, lambda at, noise=noise: agents.all_gradients(at) + noise, k)
    return x


def mixing(matrix=RING):
    return torch.from_numpy(matrix)
