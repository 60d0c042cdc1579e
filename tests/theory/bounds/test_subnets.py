"""Moments of training in slices: against the method itself, slow references, and closed forms."""

from itertools import permutations
from math import factorial

import numpy
import pytest
import torch

from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.methods.ist import Ist
from dimat.randomness import Randomness
from dimat.topology import Complete
from theory.bounds import subnets
from theory.bounds.sketches import Sketched, deals, squared


def drawn(agents, share, alike=False, seed=0):
    return Sketched.drawn(agents, share, numpy.random.default_rng(seed), alike=alike)


@pytest.mark.parametrize(("agents", "size"), [(1, 3), (2, 4), (3, 6), (4, 4)])
def test_every_deal_is_gone_through_once(agents, size):
    share = size // agents
    found = [mask.astype(int) for mask in deals(agents, size)]
    blocks = {tuple(tuple(numpy.flatnonzero(row)) for row in mask) for mask in found}
    expected = {
        tuple(tuple(sorted(order[i * share : (i + 1) * share])) for i in range(agents))
        for order in permutations(range(size))
    }
    assert blocks == expected
    assert len(found) == len(expected) == factorial(size) // factorial(share) ** agents


def test_a_step_of_the_method_is_one_of_the_library():
    """The mean over all deals of what one agent does, and of what another does after it."""
    model = drawn(3, 2, alike=True)
    x = numpy.random.default_rng(1).standard_normal(6)
    task = subnets.OneQuadratic(model.curvatures[0], model.linear[0], 3)
    found = []
    for seed in range(1000):
        agents = Vectors(task, Randomness("subnets", seed), steps_per_epoch=1)
        agents.parameters = agents.parameters + torch.from_numpy(x)
        Ist(learning_rate=0.3).learn(agents, InProcess(Complete().mixing_matrix(3)), 1)
        found.append(agents.parameters[0].numpy())
    steps = []
    for masks in deals(3, 6):
        slopes = [mask * (model.curvatures[0] @ (mask * x) - model.linear[0]) for mask in masks]
        steps.append(x - 0.3 * numpy.sum(slopes, axis=0))
    unlike = numpy.unique(numpy.round(found, 9), axis=0)
    numpy.testing.assert_allclose(unlike, numpy.unique(numpy.round(steps, 9), axis=0), atol=2e-9)
    error = numpy.std(found, axis=0) / len(found) ** 0.5
    assert (abs(numpy.mean(found, axis=0) - numpy.mean(steps, axis=0)) < 4.5 * error).all()


def simulated(model, start, step, steps, runs, seed=0):
    """Iterates (runs, steps + 1, d) of the model, with deals drawn at random."""
    generator = numpy.random.default_rng(seed)
    masks = numpy.array(list(deals(model.agents, model.size)))
    x = numpy.repeat(start[None], runs, axis=0)
    found = [x]
    for _ in range(steps):
        chosen = masks[generator.integers(len(masks), size=runs)]
        slopes = numpy.einsum("ria,iab,rib,rb->ra", chosen, model.curvatures, chosen, x)
        x = x - step * (model.s * slopes - model.t * numpy.einsum("ria,ia->ra", chosen, model.linear))
        found.append(x)
    return numpy.stack(found, axis=1)


def without_terms(model):
    return Sketched(model.curvatures, 0 * model.linear, model.s, model.t)


def test_the_worst_start_is_as_bad_as_it_is_said_to_be():
    model = without_terms(drawn(3, 2).preconditioned().with_sketches(3))
    step, metric = 1 / model.theta, model.curvature
    worst = model.worst(step, 1)
    generator = numpy.random.default_rng(1)
    starts = generator.standard_normal((200, 6))
    grown = []
    for start in starts:
        found = simulated(model, start, step, 1, 400)[:, 1]
        grown.append(numpy.einsum("ra,ab,rb->r", found, metric, found).mean() / squared(start, metric))
    assert 0.5 * worst < max(grown) < 1.02 * worst
    after_two = simulated(model, starts[0], step, 2, 4000)[:, 2]
    ratios = numpy.einsum("ra,ab,rb->r", after_two, metric, after_two) / squared(starts[0], metric)
    assert ratios.mean() < model.worst(step, 2) <= worst**2 * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_theta_is_the_least_that_will_do(seed):
    model = drawn(3, 2, seed=seed).preconditioned().with_sketches(3)
    operators = [
        model.s * sum(mask[i][:, None] * model.curvatures[i] * mask[i] for i in range(3))
        for mask in deals(3, 6)
    ]
    second = numpy.mean([each @ model.curvature @ each for each in operators], axis=0)
    for factor, positive in ((1.001, True), (0.999, False)):
        least = numpy.linalg.eigvalsh(factor * model.theta * model.symmetric - second)[0]
        assert (least > 0) == positive


@pytest.mark.parametrize("c", [1.5, 1.65, 1.9])
def test_two_coordinates_have_an_indefinite_w_where_the_text_says_so(c):
    """2 a b / (a + b) < c < (a b)^(1/2), here from 1.6 to 2."""
    curvature = numpy.array([[1.0, c], [c, 4.0]])
    model = Sketched(numpy.stack([curvature] * 2), numpy.zeros((2, 2))).with_sketches(2)
    assert (numpy.linalg.eigvalsh(model.symmetric)[0] < 0) == (c > 1.6)
    assert (model.worst(1e-3, 1) > 1) == (c > 1.6)


def test_mean_squared_gradients_are_those_of_simulations():
    model = drawn(4, 1).preconditioned().with_sketches(2)
    start = numpy.ones(4)
    measured, end = model.mean_squared_gradient(start, 0.6, 8)
    x = simulated(model, start, 0.6, 8, 4000)
    gradients = x @ model.curvature - model.linear.mean(0)
    norms = numpy.einsum("rka,ab,rkb->rk", gradients, numpy.linalg.inv(model.curvature), gradients)
    means = norms[:, :8].mean(1)
    assert means.mean() == pytest.approx(measured, abs=4.5 * means.std() / len(means) ** 0.5)
    assert norms[:, 8].mean() / 2 == pytest.approx(end, abs=4.5 * norms[:, 8].std() / 2 / len(means) ** 0.5)


def test_the_first_deal_of_single_coordinates_leaves_nothing_of_the_start():
    """With ones on the diagonal B is 1: the method is then exact for the diagonal, whatever is beside it."""
    model = drawn(4, 1, alike=True).preconditioned()
    x = simulated(model, numpy.ones(4), 1.0, 1, 10)[:, 1]
    numpy.testing.assert_allclose(x, numpy.repeat(model.linear[:1], 10, 0), atol=1e-12)


def test_where_the_model_has_no_bias():
    """Where b is an eigenvector of L with the eigenvalue n^(1/2), and nowhere near it."""
    generator = numpy.random.default_rng(0)
    rotation = numpy.linalg.qr(generator.standard_normal((4, 4)))[0]
    for eigenvalue, unbiased in ((2.0, True), (1.5, False)):
        curvature = rotation @ numpy.diag([eigenvalue, 1, 0.5, 0.3]) @ rotation.T
        linear = numpy.stack([rotation[:, 0]] * 4)
        model = Sketched(numpy.stack([curvature] * 4), linear).with_sketches(2)
        assert (numpy.linalg.norm(model.bias) < 1e-12) == unbiased
