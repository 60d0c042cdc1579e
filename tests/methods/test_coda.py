"""CoDA against its recursion, written out, and against the closed form of the AUC of linear scores."""

from itertools import repeat

import numpy
import pytest
import torch
from support.quadratics import RATE, RING, Quadratics, iterates

from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.methods.coda import Coda, highest
from dimat.randomness import Randomness
from dimat.tasks.auc import saddle_loss
from dimat.tasks.task import Metric
from dimat.tasks.vector_task import VectorTask
from dimat.topology import Complete

AGENTS, D, X, Y = 4, 5, 3, 2


class GameTask(VectorTask):
    """f_i(x, y) = |x - a_i|^2 / 2 + x^T B_i y - |y - c_i|^2 / 2, with noise; up in y."""

    metric = Metric("distance", "distance", better="lower")
    ascending = frozenset({"y"})
    agents = 5

    def __init__(self):
        generator = numpy.random.default_rng(3)
        self.a, self.b, self.c = (generator.normal(size=(5, *shape)) for shape in ((X,), (X, Y), (Y,)))
        self.start = torch.from_numpy(generator.normal(size=(5, X + Y)))

    @property
    def blocks(self):
        return {"x": X, "y": Y}

    def samples(self, agent, round):
        generator = numpy.random.default_rng((agent, round))
        while True:
            yield generator.normal(size=X + Y) * 0.3

    def slopes(self, agent, point):
        x, y = point[:X], point[X:]
        own = self.b[agent]
        return numpy.concatenate([x - self.a[agent] + own @ y, own.T @ x - y + self.c[agent]])

    def gradient(self, agent, point, sample):
        return torch.from_numpy(self.slopes(agent, point.numpy()) + sample)

    def evaluate(self, agent, point):
        return {"distance": 0.0}


def written_out(task, matrix, steps, first, local, factor, growing, gamma, batches, in_round):
    """The iterates of CoDA in loops over agents; the last stage ends with the last step."""
    x = task.start.numpy().copy()
    reference, total = x.copy(), numpy.zeros_like(x)
    draws = [zip(*[task.samples(i, round) for i in range(5)], strict=True) for round in range(1, 9)]
    stage, since, length, rate, between = 0, 0, first, RATE, local
    for k in range(steps):
        noise = next(draws[k // in_round])
        for i in range(5):
            g = task.slopes(i, x[i]) + noise[i]
            x[i, :X] -= rate * (g[:X] + (x[i, :X] - reference[i, :X]) / gamma)
            x[i, X:] += rate * g[X:]
        since += 1
        if since % between == 0:
            x = matrix @ x
        total += x
        if since < length:
            continue
        stage += 1
        reference = matrix @ (total / length)
        fresh = zip(*[task.samples(i, 0) for i in range(5)], strict=True)
        noises = numpy.mean([next(fresh) for _ in range(round(batches * factor**stage))], 0)
        best = [task.b[i].T @ reference[i, :X] + task.c[i] + noises[i, X:] for i in range(5)]
        x[:, X:] = matrix @ numpy.array(best)
        total[:] = 0
        since, length, rate = 0, round(first * factor**stage), RATE / factor**stage
        between = round(local * factor**stage) if growing else local
    return x, reference


@pytest.mark.parametrize("growing", [False, True])
@pytest.mark.parametrize(("local", "first", "factor"), [(1, 4, 3.0), (2, 5, 2.0), (3, 6, 1.0), (7, 5, 1.5)])
def test_iterates_are_those_of_the_loops(local, first, factor, growing):
    task = GameTask()
    agents = Vectors(task, Randomness("game", 0), steps_per_epoch=6)
    method = Coda(
        learning_rate=RATE,
        local_steps=local,
        growing=growing,
        stage_steps=first,
        factor=factor,
        gamma=2.0,
        restart_batches=2,
    )
    iterates(method, agents, RING, rounds=5)
    x, reference = written_out(task, RING, 30, first, local, factor, growing, 2.0, 2, 6)
    torch.testing.assert_close(agents.parameters, torch.from_numpy(x), rtol=0, atol=1e-12)
    found = agents.state["reference"][:, :X]
    torch.testing.assert_close(found, torch.from_numpy(reference[:, :X]), rtol=0, atol=1e-12)


def test_without_blocks_that_ascend_it_is_local_descent_towards_a_reference():
    agents, plain = Quadratics(noise=0.3), Quadratics(noise=0.3)
    x, matrix = plain.parameters, torch.full((5, 5), 0.2, dtype=torch.float64)
    start = x.clone()
    for k, noise in enumerate(plain.noises(2)):
        x = x - RATE * (plain.all_gradients(x) + noise + (x - start) / 10)
        x = matrix @ x if (k + 1) % 3 == 0 else x
    method = Coda(learning_rate=RATE, local_steps=3, gamma=10.0)
    communicator = iterates(method, agents, matrix.numpy())
    torch.testing.assert_close(agents.parameters, x, rtol=0, atol=1e-12)
    assert communicator.messages_sent[0] == 4 * 4  # twelve steps, four averagings


def test_stages_grow_and_agents_send_less_and_less():
    method = Coda(stage_steps=10, local_steps=2, growing=True)
    assert [method.stage_of(number) for number in (0, 9, 10, 39, 40, 129, 130)] == [
        (0, 0, 10), (0, 0, 10), (1, 10, 30), (1, 10, 30), (2, 40, 90), (2, 40, 90), (3, 130, 270),
    ]  # fmt: skip
    agents = Quadratics()
    sent = []
    communicator = InProcess(RING)
    for round in range(1, 8):  # of six steps
        method.learn(agents, communicator, round)
        sent.append(communicator.messages_sent[0] // 2)
    # Averagings at 2, 4, ..., 10 and from then on every six steps; references at 10 and 40.
    assert sent == [3, 6, 7, 8, 9, 10, 12]


# The AUC of linear scores h(x) = w x, whose best w is known.


class LinearAucTask(VectorTask):
    """Every agent has as many images of its own, drawn from two clouds, and uses all of them at once."""

    metric = Metric("error", "relative error", better="lower")
    ascending = frozenset({"alpha"})
    agents = AGENTS

    def __init__(self, seed=0, images=400):
        generator = torch.Generator().manual_seed(seed)
        self.images = torch.randn(AGENTS, images, D, generator=generator, dtype=torch.float64)
        self.labels = (torch.rand(AGENTS, images, generator=generator) < 0.2).long()
        self.images[self.labels == 1] += torch.tensor([1.0, 0.5, 0, 0, -0.5], dtype=torch.float64)
        self.share = self.labels.double().mean().item()
        self.start = torch.zeros(AGENTS, D + 3, dtype=torch.float64)

    @property
    def blocks(self):
        return {"w": D, "a": 1, "b": 1, "alpha": 1}

    def samples(self, agent, round):
        return repeat(None)

    def gradient(self, agent, point, sample):
        return self.gradients([agent], point[None], [sample])[0]

    def gradients(self, agents, points, samples):
        points = points.clone().requires_grad_()
        w, numbers = points[:, :D], points[:, D:, None].unbind(1)
        scores = torch.einsum("ind,id->in", self.images[agents], w)
        losses = saddle_loss(scores, self.labels[agents], self.share, *numbers)  # of all agents, averaged
        return len(agents) * torch.autograd.grad(losses.mean(), points)[0]

    def evaluate(self, agent, point):
        return {"error": float((point[:D] - self.best()).norm() / self.best().norm())}

    def best(self):
        """w* = (S+ + S- + d d^T)^-1 d, with covariances S and d the difference of the means."""
        positives, negatives = self.images[self.labels == 1], self.images[self.labels == 0]
        spread = sum(torch.cov(own.T, correction=0) for own in (positives, negatives))
        apart = positives.mean(0) - negatives.mean(0)
        return torch.linalg.solve(spread + torch.outer(apart, apart), apart)


@pytest.mark.parametrize(("local", "error"), [(1, 1e-4), (8, 0.005), (32, 0.015)])
def test_the_best_linear_scores_are_found_however_rarely_agents_average(local, error):
    task = LinearAucTask()
    agents = Vectors(task, Randomness("auc", 0), steps_per_epoch=320)
    method = Coda(learning_rate=0.2, local_steps=local, stage_steps=320, gamma=1e5)
    communicator = InProcess(Complete().mixing_matrix(AGENTS))
    for round in range(1, 5):  # two stages
        method.learn(agents, communicator, round)
    assert max(agents.evaluate(row)["error"] for row in range(AGENTS)) < error
    w, (a, b, alpha) = agents.parameters[0, :D], agents.parameters[0, D:]
    scores = task.images @ w
    a_best, b_best = scores[task.labels == 1].mean(), scores[task.labels == 0].mean()
    found = torch.stack([a, b, alpha])
    torch.testing.assert_close(found, torch.stack([a_best, b_best, b_best - a_best]), rtol=0, atol=2 * error)
    averagings = communicator.messages_sent[0] // (AGENTS - 1)
    assert averagings == 1280 // local + 2 * 2  # references and restarts


def test_alpha_starts_again_where_it_is_best():
    """Over all agents: also where one of them has another share of positives, or has none at all."""
    task = LinearAucTask()
    by_label = task.labels.flatten().argsort()
    task.images = task.images.flatten(0, 1)[by_label].view(AGENTS, -1, D)
    task.labels = task.labels.flatten()[by_label].view(AGENTS, -1)
    assert task.labels[0].sum() == 0 and task.labels[-1].sum() > 100
    agents = Vectors(task, Randomness("auc", 0), steps_per_epoch=1)
    point = torch.linspace(-1, 1, D + 3, dtype=torch.float64).repeat(AGENTS, 1)
    found = highest(agents, point, batches=2)
    assert torch.equal(found[:, :-1], point[:, :-1])
    scores = task.images @ point[0, :D]
    best = scores[task.labels == 0].mean() - scores[task.labels == 1].mean()
    assert found[:, -1].mean() == pytest.approx(best.item(), abs=1e-12)
