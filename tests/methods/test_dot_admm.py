"""DOT-ADMM against its recursion, written out, and against what it promises where messages are lost."""

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from pydantic import ValidationError
from support.quadratics import STEPS, Quadratics
from support.small import SMALL

from dimat.communication.in_process import InProcess
from dimat.errors import InputError
from dimat.experiment.reading import parse_study
from dimat.methods.dot_admm import DotAdmm
from dimat.methods.gradient_tracking import GradientTracking
from dimat.randomness import Randomness
from dimat.topology import Complete, Ring, Sequence, TwoHub
from dimat.topology.edge_list import EdgeList

RATE = 0.15
CHORDS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5), (0, 3), (1, 4))
GRAPHS = {
    "ring": Ring(),
    "two hubs": TwoHub(),
    "losses": Complete(link_failures=0.4, one_way=True),
    "whole links": Ring(link_failures=0.4),
    "half asleep": Complete(agent_failures=0.5),
    "in turn": Sequence(graphs=(EdgeList(edge_list=((0, 1), (2, 3))), EdgeList(edge_list=((1, 2), (3, 4))))),
}


def chords(**failures):
    return EdgeList(edge_list=CHORDS, **failures)


def linked(graph, agents):
    """Links that fail as ``graph`` says."""
    randomness = Randomness("test", 0)
    return InProcess(
        lambda time: graph.mixing_at(agents, time, randomness), whole=graph.mixing_matrix(agents)
    )


def after(method, agents, communicator, communications):
    """``agents`` after so many communications, all in one round."""
    agents.epochs, agents.steps_per_epoch = 1, communications * method.local_steps
    method.learn(agents, communicator, 1)
    return agents


def minimizer(agents):
    total = torch.einsum("iab,ib->a", agents.curvature, agents.center)
    return torch.linalg.solve(agents.curvature.sum(0), total)


def off(agents):
    """The largest distance of an agent from the minimizer, in a coordinate."""
    return float((agents.parameters - minimizer(agents)).abs().max())


def edge_errors(agents, edges, penalty):
    """|z_ij + z_ji - 2 rho x*| of each edge."""
    z = agents.state
    target = 2 * penalty * minimizer(agents)
    return [float((z["z", (i, j)] + z["z", (j, i)] - target).abs().max()) for i, j in edges]


# The recursion.


def reference(agents, graph, minimized, penalty, relaxation, communications, forgets=False):
    """X after each communication; ``minimized(i, x, pull, weight)`` lowers f_i + weight |y|^2 / 2 - <y,pull>.

    Written out arc by arc: ``z[i, j]`` is kept by i. ``forgets`` is the rule of receivers that take a lost
    message for 0.
    """
    x = agents.parameters.numpy()
    n = len(x)
    whole, randomness = graph.mixing_matrix(n), Randomness("test", 0)
    near = [[j for j in range(n) if j != i and whole[i, j] > 0] for i in range(n)]
    z = {(i, j): penalty * x[i].copy() for i in range(n) for j in near[i]}
    found = []
    for k in range(communications):
        holds = graph.mixing_at(n, k, randomness) > 0  # [receiver, sender]
        for i in range(n):
            if any(holds[i, j] or holds[j, i] for j in near[i]):
                pull = sum(z[i, j] for j in near[i])
                x[i] = minimized(i, x[i], pull, penalty * len(near[i]))
        old = dict(z)
        for i in range(n):
            for j in near[i]:
                if holds[i, j]:
                    z[i, j] = (1 - relaxation) * old[i, j] + relaxation * (2 * penalty * x[j] - old[j, i])
                elif forgets:
                    z[i, j] = (1 - relaxation) * old[i, j]
        found.append(x.copy())
    return numpy.array(found)


def by_steps(agents, steps, decay=0.0):
    """Gradient steps, with the noise that the agents draw."""
    curvature, center = agents.curvature.numpy(), agents.center.numpy()
    noises = [agents.samples(row, 1) for row in range(agents.agents)]

    def minimized(i, x, pull, weight):
        for _ in range(steps):
            gradient = curvature[i] @ (x - center[i]) + next(noises[i]).numpy() + decay * x
            x = x - RATE * (gradient + weight * x - pull)
        return x

    return minimized


def exactly(agents):
    """The proximal operator of a quadratic."""
    curvature, center = agents.curvature.numpy(), agents.center.numpy()

    def minimized(i, x, pull, weight):
        system = curvature[i] + weight * numpy.eye(len(x))
        return numpy.linalg.solve(system, curvature[i] @ center[i] + pull)

    return minimized


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("steps", [1, 3])
def test_iterates_are_those_of_the_recursion(graph, steps):
    agents = Quadratics(noise=0.3)
    method = DotAdmm(learning_rate=RATE, local_steps=steps, penalty=0.7, relaxation=0.6, weight_decay=0.2)
    expected = reference(agents, graph, by_steps(agents, steps, 0.2), 0.7, 0.6, 12)
    for k in (1, 2, 12):
        found = after(method, Quadratics(noise=0.3), linked(graph, 5), k).parameters.numpy()
        numpy.testing.assert_allclose(found, expected[k - 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_with_many_steps_every_iterate_is_that_of_the_proximal_operator(graph):
    agents = Quadratics()
    method = DotAdmm(learning_rate=RATE, local_steps=200, penalty=1.0, relaxation=0.5)
    expected = reference(agents, graph, exactly(agents), 1.0, 0.5, 10)
    for k in (1, 2, 5, 10):
        found = after(method, Quadratics(), linked(graph, 5), k).parameters.numpy()
        numpy.testing.assert_allclose(found, expected[k - 1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
def test_a_round_has_the_communications_that_its_steps_pay_for(steps):
    method = DotAdmm(learning_rate=0.1, local_steps=steps)
    agents, communicator = Quadratics(), linked(Ring(), 5)
    for round in range(1, 6):
        method.learn(agents, communicator, round)
        assert communicator.time == round * STEPS // steps
        assert agents.steps_taken == [communicator.time * steps] * 5
    assert communicator.bytes_sent[0, "models"] == communicator.time * 2 * 32
    assert communicator.messages_sent[0] == communicator.time * 2


def test_the_first_steps_are_of_agents_that_are_held_to_where_they_start():
    agents = Quadratics()
    expected = agents.parameters - RATE * agents.all_gradients(agents.parameters)
    after(DotAdmm(learning_rate=RATE, local_steps=1, penalty=3.0), agents, linked(Ring(), 5), 1)
    torch.testing.assert_close(agents.parameters, expected, rtol=0, atol=1e-14)


# What it promises.


@pytest.mark.parametrize(
    ("penalty", "relaxation"), [(0.3, 0.5), (1.0, 0.3), (1.0, 0.9), (3.0, 0.5), (3.0, 0.9)]
)
def test_all_agents_get_to_the_minimizer_and_links_to_their_sum(penalty, relaxation):
    agents = Quadratics(agents=6)
    method = DotAdmm(
        learning_rate=2 / (12 + 8 * penalty), local_steps=10, penalty=penalty, relaxation=relaxation
    )
    assert float(torch.linalg.eigvalsh(agents.curvature).max()) < 6
    after(method, agents, linked(chords(), 6), 400)
    assert off(agents) < 1e-12
    assert max(edge_errors(agents, CHORDS, penalty)) < 1e-11


FAILING = {
    "a tenth": {"link_failures": 0.1, "one_way": True},
    "three tenths": {"link_failures": 0.3, "one_way": True},
    "a half": {"link_failures": 0.5, "one_way": True},
    "both ways": {"link_failures": 0.5},
    "half asleep": {"agent_failures": 0.5},
    "half asleep, losses": {"agent_failures": 0.5, "link_failures": 0.3, "one_way": True},
}


@pytest.mark.parametrize("failures", FAILING.values(), ids=FAILING)
def test_losses_and_sleep_take_time_alone(failures):
    method = DotAdmm(learning_rate=RATE, local_steps=5)
    agents = after(method, Quadratics(agents=6), linked(chords(**failures), 6), 600)
    assert off(agents) < 1e-12
    assert max(edge_errors(agents, CHORDS, 1.0)) < 1e-11


def needed(steps, limit=1e-8, **failures):
    """Communications, in twenties, until all agents are within ``limit``."""
    agents, communicator = Quadratics(agents=6), linked(chords(**failures), 6)
    method = DotAdmm(learning_rate=RATE, local_steps=steps)
    agents.epochs, agents.steps_per_epoch = 1, 20 * steps
    for round in range(1, 200):
        method.learn(agents, communicator, round)
        if off(agents) < limit:
            return 20 * round
    raise AssertionError(f"not within {limit} after {20 * round}")


def test_few_steps_and_losses_cost_communications_and_no_accuracy():
    by_step = [needed(steps) for steps in (1, 3, 10)]
    assert by_step == sorted(by_step, reverse=True)
    by_loss = [needed(5, link_failures=loss, one_way=True) for loss in (0.1, 0.3, 0.5)]
    assert by_loss == sorted(by_loss)
    assert by_loss[0] < by_loss[-1]


@pytest.mark.parametrize("loss", [0.1, 0.3, 0.5])
def test_receivers_that_take_a_lost_message_for_nothing_stay_away(loss):
    agents, graph = Quadratics(agents=6), chords(link_failures=loss, one_way=True)
    target = minimizer(agents).numpy()
    ends = {
        forgets: abs(reference(agents, graph, exactly(agents), 1.0, 0.5, 600, forgets)[-1] - target).max()
        for forgets in (False, True)
    }
    assert ends[False] < 1e-12
    assert ends[True] > 0.05


def test_noise_leaves_a_floor():
    agents = Quadratics(agents=6, noise=0.1)
    after(DotAdmm(learning_rate=RATE, local_steps=3), agents, linked(chords(), 6), 500)
    assert 1e-3 < off(agents) < 0.3


@settings(max_examples=20, deadline=None)
@given(
    factor=some.floats(0.1, 10),
    penalty=some.floats(0.1, 2),
    relaxation=some.floats(0.05, 0.95),
    steps=some.integers(1, 4),
    seed=some.integers(0, 5),
)
def test_units_of_the_loss_and_the_origin_do_not_matter(factor, penalty, relaxation, steps, seed):
    def run(factor, shift):
        agents = Quadratics(seed=seed)
        agents.curvature *= factor
        agents.center += shift
        agents.parameters = agents.parameters + shift
        method = DotAdmm(
            learning_rate=0.1 / factor, penalty=penalty * factor, relaxation=relaxation, local_steps=steps
        )
        return after(method, agents, linked(Ring(link_failures=0.3, one_way=True), 5), 8).parameters - shift

    torch.testing.assert_close(run(factor, 3.0), run(1.0, 0.0), rtol=0, atol=1e-8)


def test_who_sleeps_draws_nothing_moves_nothing_and_sends_nothing():
    agents, graph = Quadratics(noise=0.3), Complete(agent_failures=0.5)
    method, communicator = DotAdmm(learning_rate=RATE, local_steps=2), linked(graph, 5)
    agents.epochs, agents.steps_per_epoch = 1, 2
    slept = 0
    for round in range(1, 21):
        before, taken = agents.parameters, list(agents.steps_taken)
        sent = dict(communicator.messages_sent)
        method.learn(agents, communicator, round)
        awake = {agent for edge in communicator.edges() for agent in edge}
        for agent in range(5):
            moved = bool((agents.parameters[agent] != before[agent]).any())
            assert moved == (agent in awake)
            assert agents.steps_taken[agent] - taken[agent] == 2 * (agent in awake)
            assert (communicator.messages_sent[agent] > sent.get(agent, 0)) == (agent in awake)
            slept += agent not in awake
    assert 20 < slept < 80


def test_one_agent_alone_descends():
    agents = Quadratics(agents=1)
    after(DotAdmm(learning_rate=RATE), agents, InProcess(numpy.eye(1)), 500)
    assert off(agents) < 1e-12


def test_it_goes_on_where_it_was_left():
    method, graph = DotAdmm(learning_rate=RATE, local_steps=4), Ring(link_failures=0.4, one_way=True)
    whole, resumed = Quadratics(noise=0.3), Quadratics(noise=0.3)
    one, other = linked(graph, 5), linked(graph, 5)
    method.learn(whole, one, 1)
    resumed.load_tensors({name: tensor.clone() for name, tensor in whole.tensors(True).items()})
    other.resume(one.progress())
    for round in (2, 3):
        method.learn(whole, one, round)
        method.learn(resumed, other, round)
    assert torch.equal(whole.parameters, resumed.parameters)
    for (name, ours), (same, theirs) in zip(whole.state.tensors(), resumed.state.tensors(), strict=True):
        assert name == same
        assert torch.equal(ours, theirs)


def test_gradient_tracking_does_not_bear_losses_one_way():
    """Nor may it be asked to: weights that are lost one way are not doubly stochastic."""
    graph = chords(link_failures=0.3, one_way=True)
    agents, communicator = Quadratics(agents=6), linked(graph, 6)
    for round in range(1, 301):
        GradientTracking(learning_rate=0.05).learn(agents, communicator, round)
    assert off(agents) > 1e-2
    assert off(after(DotAdmm(learning_rate=RATE), Quadratics(agents=6), linked(graph, 6), 360)) < 1e-8


# Configurations.


@pytest.mark.parametrize(
    ("option", "value"),
    [("relaxation", 0), ("relaxation", 1), ("penalty", 0), ("penalty", -1), ("local_steps", 0)],
)
def test_options_out_of_their_bounds_are_refused(option, value):
    with pytest.raises(ValidationError, match=option):
        DotAdmm(**{option: value})


@pytest.mark.parametrize("graph", ["directed_ring", "exponential", "one_peer_exponential"])
def test_links_of_one_direction_are_refused(graph):
    content = SMALL | {"method": "dot_admm", "graph": graph, "agents": 4}
    with pytest.raises(InputError, match="links of one direction; method dot_admm"):
        parse_study(content, "study")


def test_links_may_fail_one_way():
    graph = {"name": "ring", "link_failures": 0.3, "one_way": True}
    assert parse_study(SMALL | {"method": "dot_admm", "graph": graph, "agents": 4}, "study").runs
