"""Teleportation against its recursion, model by model; what is sent; and links that fail."""

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.quadratics import RATE, STEPS, Quadratics
from support.small import SMALL

from dimat.communication.in_process import InProcess
from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.methods.teleportation import Teleportation, hop
from dimat.topology import Chain, Complete, DirectedRing, OnePeerExponential, Ring

AGENTS = 7
ROUNDS = 2
WHOLE = Complete().mixing_matrix(AGENTS)


def links(graph, agents):
    """Those of a graph, as they fail."""
    return InProcess(lambda time: graph.mixing_at(AGENTS, time, agents.randomness), whole=WHOLE)


def after(method, agents, graph=None):
    """The communicator, after all steps of some rounds."""
    communicator = links(graph or Complete(), agents)
    for round in range(1, ROUNDS + 1):
        method.learn(agents, communicator, round)
    return communicator


def drawn(agents, time, active):
    """To whom models would hop in a step."""
    return agents.randomness.numpy("active", round=time).permutation(agents.agents)[:active].tolist()


def by_hand(agents, active, matrices, momentum, nesterov=False):
    """Models one by one, with loops: what each agent ends with, and who took how many steps."""
    center, curvature = agents.center.numpy(), agents.curvature.numpy()
    kept = agents.parameters.numpy().copy()
    models, sums = None, numpy.zeros((active, kept.shape[1]))
    taken, time = [0] * agents.agents, 0
    for round in range(1, ROUNDS + 1):
        samples = [agents.samples(agent, round) for agent in range(agents.agents)]
        while (time + 1) * active <= round * STEPS * agents.agents:
            active_agents = drawn(agents, time, active)
            models = kept[active_agents] if models is None else models
            stepped = []
            for model, agent in enumerate(active_agents):
                gradient = curvature[agent] @ (models[model] - center[agent]) + next(samples[agent]).numpy()
                sums[model] = momentum * sums[model] + gradient
                direction = gradient + momentum * sums[model] if nesterov else sums[model]
                stepped.append(models[model] - RATE * direction)
                taken[agent] += 1
            mixing = matrices[time % len(matrices)]
            models = numpy.stack(
                [
                    sum(mixing[model, other] * stepped[other] for other in range(active))
                    for model in range(active)
                ]
            )
            for model, agent in enumerate(active_agents):
                kept[agent] = models[model]
            time += 1
    return kept, taken, time


@pytest.mark.parametrize(
    ("active", "topology", "options"),
    [
        (1, Ring(), {}),
        (3, Ring(), {}),
        (4, Chain(), {"momentum": 0.8}),
        (4, DirectedRing(), {"momentum": 0.8, "nesterov": True}),
        (4, OnePeerExponential(), {}),
        (AGENTS, Ring(), {"momentum": 0.8}),
    ],
    ids=str,
)
def test_models_follow_their_recursion(active, topology, options):
    agents = Quadratics(agents=AGENTS, noise=0.3)
    matrices = topology.matrices(active)
    expected, taken, iterations = by_hand(
        agents, active, matrices, options.get("momentum", 0), "nesterov" in options
    )
    method = Teleportation(active=active, topology=topology, learning_rate=RATE, **options)
    communicator = after(method, agents)
    numpy.testing.assert_allclose(agents.parameters.numpy(), expected, atol=1e-10, rtol=0)
    assert agents.steps_taken == taken
    assert communicator.time == iterations
    assert sum(taken) == active * iterations
    assert 0 <= ROUNDS * STEPS * AGENTS - sum(taken) < active  # as many as others take, on average


def test_with_all_active_and_exact_averages_it_is_gradient_descent_on_the_mean():
    agents = Quadratics(agents=AGENTS)
    x = agents.parameters
    for _ in range(ROUNDS * STEPS):
        x = (x - RATE * agents.all_gradients(x)).mean(0).expand(AGENTS, -1)
    method = Teleportation(active=AGENTS, topology=Complete(), learning_rate=RATE)
    after(method, agents)
    torch.testing.assert_close(agents.parameters, x, atol=1e-10, rtol=0)
    assert agents.steps_taken == [ROUNDS * STEPS] * AGENTS


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_hops_and_averages_are_counted(momentum):
    agents, active = Quadratics(agents=AGENTS), 3
    method = Teleportation(active=active, topology=Chain(), learning_rate=RATE, momentum=momentum)
    communicator = after(method, agents)
    model = agents.parameters[0].nbytes
    sizes, messages = [0] * AGENTS, [0] * AGENTS
    before = None
    for time in range(communicator.time):
        now = drawn(agents, time, active)
        for old, new in zip(before or now, now, strict=True):
            if old != new:
                sizes[old] += model * (2 if momentum else 1)
                messages[old] += 1
        for position, neighbours in enumerate([1, 2, 1]):
            sizes[now[position]] += neighbours * model
            messages[now[position]] += neighbours
        before = now
    assert communicator.bytes_sent == {(agent, "models"): size for agent, size in enumerate(sizes)}
    assert communicator.messages_sent == dict(enumerate(messages))


@given(st.data())
def test_a_model_hops_where_it_can_and_no_two_meet(data):
    agents = data.draw(st.integers(1, 8))
    active = data.draw(st.integers(1, agents))
    holders, asked = (data.draw(st.permutations(range(agents)))[:active] for _ in range(2))
    up = numpy.array(data.draw(st.lists(st.booleans(), min_size=agents**2, max_size=agents**2)))
    mixing = up.reshape(agents, agents) | numpy.eye(agents, dtype=bool)
    found = hop(holders, asked, mixing)
    assert len(set(found)) == active
    for model, (old, wanted, new) in enumerate(zip(holders, asked, found, strict=True)):
        assert new in (old, wanted)
        assert mixing[new, old]
        if new != wanted and mixing[wanted, old]:  # who is in its way did not leave
            others = [
                holders[other] for other in range(active) if other != model and found[other] == holders[other]
            ]
            assert wanted in others
    assert hop([], asked, mixing) == list(asked)
    assert hop(holders, asked, numpy.ones((agents, agents))) == list(asked)
    assert hop(holders, asked, numpy.eye(agents)) == list(holders)


def test_models_are_neither_lost_nor_doubled_where_links_fail():
    """With no slope to descend, averaging keeps the sum of models whatever fails; so do hops."""
    agents, active = Quadratics(agents=AGENTS), 4
    agents.curvature.zero_()
    graph = Complete(link_failures=0.5, agent_failures=0.2)
    method = Teleportation(active=active, topology=Ring(), learning_rate=RATE)
    start = agents.parameters[drawn(agents, 0, active)].sum(0)
    after(method, agents, graph)
    held = agents.state["model"].flatten()
    assert sorted(held.tolist()) == [0] * (AGENTS - active) + [1, 2, 3, 4]
    torch.testing.assert_close(agents.parameters[held > 0].sum(0), start, atol=1e-10, rtol=0)
    assert (agents.parameters[held > 0].std(0) < 1).all()


def test_a_model_that_is_held_is_the_same_one_in_the_next_round():
    """A round carried out by itself, from what is kept, ends as if it had followed on."""
    method = Teleportation(active=3, momentum=0.8, learning_rate=RATE)
    graph = Complete(link_failures=0.4)
    whole, one, other = (Quadratics(agents=AGENTS, noise=0.3) for _ in range(3))
    after(method, whole, graph)
    first, second = links(graph, one), links(graph, one)
    method.learn(one, first, 1)
    other.state.declare(method.keeps)
    other.load_tensors({name: tensor.clone() for name, tensor in one.tensors(True).items()})
    second.resume(first.progress())
    method.learn(other, second, 2)
    assert torch.equal(other.parameters, whole.parameters)


@pytest.mark.parametrize(
    ("graph", "method", "words"),
    [
        ({"name": "star"}, {}, "method teleportation: models hop to any agent; expected graph: complete"),
        ({"name": "complete"}, {"active": 5}, "active 5; expected at most 4 agents"),
        (
            {"name": "complete"},
            {"active": 3, "topology": "hypercube"},
            "topology of active agents: .*hypercube",
        ),
    ],
)
def test_what_does_not_fit_the_agents_is_refused(graph, method, words):
    study = SMALL | {"agents": 4, "graph": graph, "method": {"name": "teleportation"} | method}
    with pytest.raises(InputError, match=words):
        _ = Study.model_validate(study).runs


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"active": 0}, "greater than or equal to 1"),
        ({"topology": Ring(link_failures=0.1)}, "topology: what fails are links of graph"),
        ({"nesterov": True}, "expected momentum above 0"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        Teleportation(**options)
