"""Gradient tracking in its three forms, against recursions written out agent by agent."""

import numpy
import pytest
import torch
from support.quadratics import RATE, RING, STEPS, Quadratics, iterates

from dimat.communication.in_process import InProcess
from dimat.methods.dpsgd import Dpsgd
from dimat.methods.gradient_tracking import GradientTracking
from dimat.randomness import Randomness
from dimat.topology import Complete, Ring, Sequence, TwoHub
from dimat.topology.edge_list import EdgeList

FORMS = ("diging", "dsgt", "aug_dgm")
GRAPHS = {
    "ring": Ring(),
    "two hubs": TwoHub(),
    "failing": Complete(link_failures=0.4),
    "in turn": Sequence(graphs=(EdgeList(edge_list=((0, 1), (2, 3))), EdgeList(edge_list=((1, 2), (3, 4))))),
}


def averaged(matrix, rows):
    """W X, agent by agent and neighbour by neighbour."""
    return numpy.array([sum(matrix[i, j] * rows[j] for j in range(len(rows))) for i in range(len(rows))])


def reference(form, agents, matrices, rounds=2):
    """X after all steps, as the papers say it; mixed with the matrix of each step."""
    x = agents.parameters.numpy()
    noises = agents.noises(rounds).numpy()
    curvature, center = agents.curvature.numpy(), agents.center.numpy()
    n = len(x)

    def gradients(at, k):
        return numpy.array([curvature[i] @ (at[i] - center[i]) + noises[k][i] for i in range(n)])

    g = y = gradients(x, 0)
    for k in range(len(noises)):
        w = matrices(k)
        x = averaged(w, x) - RATE * y if form == "diging" else averaged(w, x - RATE * y)
        if k + 1 == len(noises):
            return x
        new = gradients(x, k + 1)
        y = averaged(matrices(k + 1), y + new - g) if form == "aug_dgm" else averaged(w, y) + new - g
        g = new


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("form", FORMS)
def test_iterates_are_those_of_the_papers_also_where_links_change(form, graph):
    agents = Quadratics(noise=0.3)
    randomness = Randomness("test", 0)

    def matrices(time):
        return graph.mixing_at(5, time, randomness)

    expected = reference(form, agents, matrices)
    iterates(GradientTracking(learning_rate=RATE, form=form), agents, matrices)
    torch.testing.assert_close(agents.parameters, torch.from_numpy(expected), rtol=0, atol=1e-10)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("form", FORMS)
def test_trackers_have_the_mean_of_the_gradients_and_the_mean_follows_it(form, graph):
    agents = Quadratics(noise=0.3)
    method = GradientTracking(learning_rate=RATE, form=form)
    randomness = Randomness("test", 0)
    communicator = InProcess(lambda time: graph.mixing_at(5, time, randomness))
    agents.state.declare(method.keeps)
    for round in (1, 2):
        for step in agents.steps(round):
            x = agents.parameters
            communicator.advance()
            method.step(agents, communicator, step, RATE)
            gradient = step.gradients(x).mean(0)
            torch.testing.assert_close(agents.state["trackers"].mean(0), gradient, rtol=0, atol=1e-12)
            torch.testing.assert_close(agents.parameters.mean(0), x.mean(0) - RATE * gradient)


def optimum(agents, weight_decay=0.0):
    """Where the mean of all gradients vanishes."""
    total = torch.einsum("iab,ib->a", agents.curvature, agents.center)
    ridge = len(agents.center) * weight_decay * torch.eye(len(total), dtype=total.dtype)
    return torch.linalg.solve(agents.curvature.sum(0) + ridge, total)


@pytest.mark.parametrize("form", FORMS)
def test_it_reaches_the_exact_minimizer_and_gossip_stays_off_it(form):
    tracked, gossip = Quadratics(), Quadratics()
    iterates(GradientTracking(learning_rate=0.05, form=form), tracked, RING, rounds=250)
    iterates(Dpsgd(learning_rate=0.05), gossip, RING, rounds=250)
    torch.testing.assert_close(tracked.parameters, optimum(tracked).expand(5, -1), rtol=0, atol=1e-8)
    assert (gossip.parameters - optimum(gossip)).abs().max() > 1e-2


@pytest.mark.parametrize("form", FORMS)
def test_with_weight_decay_it_reaches_the_minimizer_of_the_penalized_loss(form):
    agents = Quadratics()
    iterates(GradientTracking(learning_rate=0.05, form=form, weight_decay=0.3), agents, RING, rounds=250)
    torch.testing.assert_close(agents.parameters, optimum(agents, 0.3).expand(5, -1), rtol=0, atol=1e-8)


def test_steps_that_are_averaged_bear_a_rate_at_which_diging_diverges():
    reached = {}
    for form in FORMS:
        agents = Quadratics()
        iterates(GradientTracking(learning_rate=0.5, form=form), agents, RING, rounds=60)
        reached[form] = float((agents.parameters - optimum(agents)).abs().max())
    assert reached["diging"] > 1e3
    assert max(reached["dsgt"], reached["aug_dgm"]) < 1e-6


def test_what_is_sent():
    for form, trackers in (("diging", 2 * STEPS), ("dsgt", 2 * STEPS), ("aug_dgm", 2 * STEPS - 1)):
        communicator = iterates(GradientTracking(form=form), Quadratics(), RING)
        assert communicator.bytes_sent[0, "models"] == 2 * STEPS * 2 * 32
        assert communicator.bytes_sent[0, "trackers"] == trackers * 2 * 32
