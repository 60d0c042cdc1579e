"""Agents with quadratic losses, whose gradients are known."""

from itertools import count, islice

import torch

from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.randomness import Randomness
from dimat.tasks.task import Metric
from dimat.tasks.vector_task import VectorTask
from dimat.topology import Ring

RATE = 0.07
STEPS = 6
"""Steps in a round of `Quadratics`."""
RING = Ring().mixing_matrix(5)


class QuadraticTask(VectorTask):
    """f_i(x) = (x - c_i)^T A_i (x - c_i) / 2 in double precision; a sample is the noise of the gradient."""

    metric = Metric("loss", "loss", better="lower")

    def __init__(self, agents, size, noise, seed):
        self.agents, self.noise = agents, noise
        self.randomness = Randomness("quadratics", seed)
        generator = torch.Generator().manual_seed(seed)
        root = torch.randn(agents, size, size, generator=generator, dtype=torch.float64)
        self.curvature = root @ root.mT / size + 0.1 * torch.eye(size, dtype=torch.float64)
        self.center = torch.randn(agents, size, generator=generator, dtype=torch.float64)
        self.start = torch.randn(agents, size, generator=generator, dtype=torch.float64)

    def samples(self, agent, round):
        generator = self.randomness.numpy("noise", agent=agent, round=round)
        return (self.noise * torch.from_numpy(generator.normal(size=self.start.shape[1])) for _ in count())

    def gradient(self, agent, point, sample):
        return self.curvature[agent] @ (point - self.center[agent]) + sample

    def evaluate(self, agent, point):
        off = point - self.center[agent]
        return {"loss": float(off @ self.curvature[agent] @ off) / 2}


class Quadratics(Vectors):
    """Agents of a `QuadraticTask`, and all that a test knows of it."""

    def __init__(self, agents=5, size=4, noise=0.0, seed=0):
        task = QuadraticTask(agents, size, noise, seed)
        super().__init__(task, task.randomness, epochs=2, steps_per_epoch=STEPS // 2)
        self.curvature, self.center = task.curvature, task.center

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
    """The communicator, after all steps of some rounds; parameters are those of ``agents``."""
    communicator = InProcess(matrix)
    for round in range(1, rounds + 1):
        method.learn(agents, communicator, round)
    return communicator


def recursion(agents, matrix, step, rounds=2):
    """X after all steps; ``step(x, g, k)`` gives the next X from X and the noisy gradients G(X)."""
    x = agents.parameters
    for k, noise in enumerate(agents.noises(rounds)):
        x = step(x, lambda at, noise=noise: agents.all_gradients(at) + noise, k)
    return x


def mixing(matrix=RING):
    return torch.from_numpy(matrix)
