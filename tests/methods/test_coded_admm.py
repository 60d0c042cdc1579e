"""sI-ADMM and csI-ADMM: the recursion, its invariant and its limits; gradient codes, and waits for nodes."""

import itertools

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.quadratics import RING, STEPS, QuadraticTask, Quadratics, iterates

from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.errors import InputError
from dimat.experiment.links import Links
from dimat.experiment.measure import measure
from dimat.experiment.reading import parse_study
from dimat.methods.coded_admm import CodedAdmm
from dimat.methods.gradient_codes import Cyclic, Repetition, decoding
from dimat.randomness import Randomness
from dimat.topology import Chain, Complete, DirectedRing, EdgeList, Ring, Sequence, Star
from dimat.topology.walk import closed_walk
from paper.measured import costs

METHOD = CodedAdmm(learning_rate=0.2, penalty=4.0)


# The recursion.


def written_out(agents, noises, walk, method):
    """x, y and z as the paper writes it, with rho and tau, after each step; one set of noises for each round."""
    curvature, center, x = agents.curvature.numpy(), agents.center.numpy(), agents.parameters.numpy()
    n, k, rho = len(x), 0, method.penalty
    y, z = numpy.zeros_like(x), x.mean(0)
    for of_round in noises:
        drawn = [iter(of_round[:, i]) for i in range(n)]
        for _ in range(n * agents.epochs * agents.steps_per_epoch):
            i = walk[k % len(walk)]
            k += 1
            root = numpy.sqrt(k) if method.growth == "sqrt" else 1
            tau, gamma = (1 / method.learning_rate - rho) * root, method.dual_step / root
            gradient = curvature[i] @ (x[i] - center[i]) + next(drawn[i])
            new_x = (tau * x[i] + rho * z + y[i] - gradient) / (rho + tau)
            new_y = y[i] + rho * gamma * (z - new_x)
            z = z + ((new_x - x[i]) - (new_y - y[i]) / rho) / n
            x[i], y[i] = new_x, new_y
            numpy.testing.assert_allclose(z, (x - y / rho).mean(0), atol=1e-12)
            yield x.copy(), y.copy(), z


def noises_of(agents, rounds):
    """By round, more than any agent uses of it: (steps, agents, size)."""
    most = agents.agents * STEPS
    return [
        numpy.stack(
            [
                torch.stack(list(itertools.islice(agents.samples(row, round), most))).numpy()
                for row in range(agents.agents)
            ],
            axis=1,
        )
        for round in range(1, rounds + 1)
    ]


def on(graph, agents=5):
    """A communicator that knows the whole of a graph."""
    randomness = Randomness("test", 0)
    return InProcess(
        lambda time: graph.mixing_at(agents, time, randomness), whole=graph.mixing_matrix(agents)
    )


FORMS = {
    "constant": METHOD,
    "growing": CodedAdmm(learning_rate=0.2, penalty=4.0, dual_step=0.5, growth="sqrt"),
    "coded": CodedAdmm(learning_rate=0.2, penalty=4.0, code=Cyclic(nodes=4, stragglers=1)),
    "another way": CodedAdmm(learning_rate=0.2, penalty=4.0, walk=(3, 2, 1, 0, 4)),
}
GRAPHS = {
    "ring": Ring(),
    "complete": Complete(),
    "star": Star(),
    "chain": Chain(),
    "one direction": DirectedRing(),
    "failing": Complete(link_failures=0.5),
    "failing one way": Ring(link_failures=0.3, one_way=True),
    "in turn": Sequence(
        graphs=(EdgeList(edge_list=((0, 1), (2, 3), (1, 4))), EdgeList(edge_list=((1, 2), (3, 4), (0, 4))))
    ),
}


@pytest.mark.parametrize(
    ("form", "graph"),
    [*((form, "ring") for form in FORMS), *(("growing", graph) for graph in GRAPHS if graph != "ring")],
)
def test_iterates_are_those_of_the_recursion_written_out(form, graph):
    """In rounds of a step of each agent, so that there is much to compare; the invariant holds at each step."""
    method, communicator, rounds = FORMS[form], on(GRAPHS[graph]), 7
    task = QuadraticTask(5, 4, noise=0.3, seed=0)
    agents = Vectors(task, task.randomness, epochs=1, steps_per_epoch=1)
    agents.curvature, agents.center = task.curvature, task.center
    walk = method.walk or closed_walk(communicator.whole)
    expected = list(written_out(agents, noises_of(agents, rounds), walk, method))
    for round in range(1, rounds + 1):
        method.learn(agents, communicator, round)
        x, y, z = expected[5 * round - 1]
        holder = walk[5 * round % len(walk)]
        found = agents.parameters, agents.state["multipliers"], agents.state["token"][holder]
        for one, other in zip(found, (x, y, z), strict=True):
            torch.testing.assert_close(one, torch.from_numpy(other), rtol=0, atol=1e-12)
    assert sum(agents.steps_taken) == 5 * rounds


def test_one_agent_has_nobody_to_pass_a_token_to():
    agents = Quadratics(agents=1)
    communicator = iterates(METHOD, agents, numpy.eye(1), rounds=40)
    torch.testing.assert_close(agents.parameters, agents.center, rtol=0, atol=1e-6)
    assert not communicator.bytes_sent


def test_one_token_is_sent_at_each_step_and_for_the_first_mean():
    communicator = iterates(METHOD, Quadratics(), RING, rounds=3)
    sent = {agent: 3 * STEPS + 1 for agent in range(5)}  # and once around for the mean
    assert communicator.messages_sent == sent
    assert communicator.bytes_sent == {(agent, "token"): 32 * many for agent, many in sent.items()}


# Where it leads.


def optimum(agents):
    """Where the sum of all gradients vanishes."""
    total = torch.einsum("iab,ib->a", agents.curvature, agents.center)
    return torch.linalg.solve(agents.curvature.sum(0), total)


@pytest.mark.parametrize(("rate", "penalty"), [(0.2, 1.0), (0.2, 5.0), (0.5, 0.5), (0.5, 2.0)])
@pytest.mark.parametrize("graph", ["ring", "star"])
def test_at_rest_all_are_at_the_minimizer_and_multipliers_are_the_gradients_there(rate, penalty, graph):
    agents = Quadratics()
    communicator = iterates_on(CodedAdmm(learning_rate=rate, penalty=penalty), agents, GRAPHS[graph], 400)
    best = optimum(agents)
    torch.testing.assert_close(agents.parameters, best.expand(5, -1), rtol=0, atol=1e-8)
    gradients = agents.all_gradients(best.expand(5, -1))
    torch.testing.assert_close(agents.state["multipliers"], gradients, rtol=0, atol=1e-7)
    assert agents.state["multipliers"].sum(0).abs().max() < 1e-7
    walk = closed_walk(communicator.whole)
    holder = walk[400 * STEPS * 5 % len(walk)]
    torch.testing.assert_close(agents.state["token"][holder], best, rtol=0, atol=1e-8)


def iterates_on(method, agents, graph, rounds):
    communicator = on(graph, agents.agents)
    for round in range(1, rounds + 1):
        method.learn(agents, communicator, round)
    return communicator
