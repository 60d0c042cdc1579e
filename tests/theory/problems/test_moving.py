"""Losses whose minimizer jumps."""

import numpy
import pytest
import torch

from dimat.methods.dot_admm import DotAdmm
from dimat.methods.dpsgd import Dpsgd
from dimat.methods.gradient_tracking import GradientTracking
from dimat.topology import Complete, Ring
from theory.problems.moving import DIMENSIONS, MovingTask, followed


@pytest.fixture
def task():
    return MovingTask(agents=4, seeds=3, period=30)


def test_gradients_are_those_of_the_losses_and_vanish_on_average_at_the_minimizer(task):
    centers = task.centers(7)
    points = torch.randn(4, 3 * DIMENSIONS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    samples = [next(task.samples(agent, 7)) for agent in range(4)]
    found = task.gradients(range(4), points, samples)
    for agent in range(4):
        point = points[agent].clone().requires_grad_()
        off = (point - centers[agent]).reshape(3, DIMENSIONS)
        loss = torch.einsum("sa,sab,sb->", off, task.curvature[agent], off) / 2
        (expected,) = torch.autograd.grad(loss, point)
        torch.testing.assert_close(found[agent], expected)
        torch.testing.assert_close(task.gradient(agent, points[agent], samples[agent]), expected)
    best = task.minimizer(7).flatten().expand(4, -1)
    assert task.gradients(range(4), best, samples).sum(0).abs().max() < 1e-12
    assert task.distances(best, 7).max() < 1e-14
    assert task.distances(0 * best, 7) == pytest.approx(numpy.ones(3))


def test_centers_jump_after_a_period_and_are_the_same_again(task):
    assert torch.equal(task.centers(1), task.centers(30))
    assert not torch.equal(task.centers(30), task.centers(31))
    assert torch.equal(task.centers(31), MovingTask(agents=4, seeds=3, period=30).centers(31))


@pytest.mark.parametrize("failures", [{}, {"link_failures": 0.3}, {"agent_failures": 0.3}])
def test_exact_methods_come_close_between_jumps_and_gossip_does_not(task, failures):
    graph = Ring(**failures)
    admm = followed(DotAdmm(learning_rate=0.3, relaxation=0.9), graph, task, 90, steps=5)
    tracking = followed(GradientTracking(learning_rate=0.3), graph, task, 90)
    gossip = followed(Dpsgd(learning_rate=0.05), graph, task, 90)
    for before in (29, 59, 89):
        assert max(admm[before].max(), tracking[before].max()) < 1e-2
        assert gossip[before].min() > 5e-2
    for after in (30, 60):
        assert min(found[after].min() for found in (admm, tracking, gossip)) > 0.3


def test_methods_go_on_from_where_they_are(task):
    """As long as centres stay, rounds are those of a task whose centres never jump."""
    still = MovingTask(agents=4, seeds=3, period=1000)
    method = DotAdmm(learning_rate=0.3)
    numpy.testing.assert_array_equal(
        followed(method, Complete(), task, 30, steps=5), followed(method, Complete(), still, 60, steps=5)[:30]
    )
