"""Methods against closed forms, on quadratics whose gradients are known; and what each of them promises."""

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.quadratics import RATE, RING, STEPS, Quadratics, iterates, mixing, recursion

from dimat.communication.in_process import InProcess
from dimat.methods.cdmsgd import Cdmsgd
from dimat.methods.cdsgd import Cdsgd
from dimat.methods.dpsgd import Dpsgd
from dimat.methods.final_merge import FinalMerge
from dimat.methods.ld_sgd import LdSgd
from dimat.methods.matcha import Matcha
from dimat.methods.quasi_global import QuasiGlobal
from dimat.methods.sgp import Sgp
from dimat.methods.swarm_sgd import SwarmSgd
from dimat.methods.variance_corrected import corrected_average
from dimat.randomness import Randomness
from dimat.topology import Complete, Ring, Sequence, TwoHub
from dimat.topology.edge_list import EdgeList
from dimat.topology.matchings import plan


def dpsgd(x, g, k):
    return mixing() @ (x - RATE * g(x))


def cdsgd(x, g, k):
    return mixing() @ x - RATE * g(x)


def ld_sgd(x, g, k):
    x = x - RATE * g(x)
    return mixing() @ x if k % 5 >= 2 else x


class WithMomentum:
    """Recursions that keep a second matrix."""

    def __init__(self):
        self.m = torch.zeros(5, 4, dtype=torch.float64)

    def heavy_ball(self, x, g, k):
        self.m = 0.8 * self.m + g(x)
        return mixing() @ (x - RATE * self.m)

    def polyak(self, x, g, k):
        self.m = 0.8 * self.m - RATE * g(x)
        return mixing() @ x + self.m

    def nesterov(self, x, g, k):
        self.m = 0.8 * self.m + g(x)
        return mixing() @ x - RATE * (g(x) + 0.8 * self.m)

    def quasi_global(self, x, g, k):
        moved = mixing() @ (x - RATE * (0.8 * self.m + g(x)))
        self.m = 0.8 * self.m + 0.2 * (x - moved) / RATE
        return moved

    def quasi_global_nesterov(self, x, g, k):
        buffer = 0.8 * self.m + g(x)
        moved = mixing() @ (x - RATE * (g(x) + 0.8 * buffer))
        self.m = 0.8 * self.m + 0.2 * (x - moved) / RATE
        return moved


CLOSED_FORMS = {
    "dpsgd": (Dpsgd(learning_rate=RATE), lambda: dpsgd),
    "dpsgd, momentum": (
        Dpsgd(learning_rate=RATE, momentum=0.8),
        lambda: WithMomentum().heavy_ball,
    ),
    "cdsgd": (Cdsgd(learning_rate=RATE), lambda: cdsgd),
    "cdmsgd": (Cdmsgd(learning_rate=RATE, momentum=0.8), lambda: WithMomentum().polyak),
    "cdmsgd, published": (
        Cdmsgd(learning_rate=RATE, momentum=0.8, nesterov=True),
        lambda: WithMomentum().nesterov,
    ),
    "sgp without direction": (Sgp(learning_rate=RATE), lambda: dpsgd),
    "ld_sgd": (LdSgd(learning_rate=RATE, local_steps=2, gossip_steps=3), lambda: ld_sgd),
    "final_merge before its end": (FinalMerge(learning_rate=RATE), lambda: dpsgd),
    "quasi_global, Nesterov": (
        QuasiGlobal(learning_rate=RATE, momentum=0.8, nesterov=True),
        lambda: WithMomentum().quasi_global_nesterov,
    ),
    "quasi_global": (
        QuasiGlobal(learning_rate=RATE, momentum=0.8),
        lambda: WithMomentum().quasi_global,
    ),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_iterates_are_those_of_the_matrix_recursion(name):
    method, step = CLOSED_FORMS[name]
    agents = Quadratics(noise=0.3)
    expected = recursion(agents, RING, step())
    iterates(method, agents, RING)
    torch.testing.assert_close(agents.parameters, expected, rtol=0, atol=1e-10)
    assert agents.steps_taken == [2 * STEPS] * 5


def test_step_sizes_decay_by_epochs():
    agents = Quadratics()
    rates = [RATE * 0.5 ** (k // 3) for k in range(2 * STEPS)]
    expected = recursion(agents, RING, lambda x, g, k: mixing() @ x - rates[k] * g(x))
    iterates(Cdsgd(learning_rate=RATE, decay=0.5), agents, RING)
    torch.testing.assert_close(agents.parameters, expected, rtol=0, atol=1e-10)


def directed_ring_with_a_chord(size=5):
    """Column-stochastic, not row-stochastic: agent 0 also sends to agent 2."""
    matrix = numpy.zeros((size, size))
    for sender in range(size):
        receivers = {sender, (sender + 1) % size} | ({2} if sender == 0 else set())
        for receiver in receivers:
            matrix[receiver, sender] = 1 / len(receivers)
    return matrix


def test_push_sum_is_unbiased_where_links_have_a_direction():
    """X <- P (X - rate G(Z)), w <- P w, Z = X / w; the numerators' mean moves by the mean gradient alone."""
    matrix = directed_ring_with_a_chord()
    p = torch.from_numpy(matrix)
    agents = Quadratics(noise=0.3)
    x, w = agents.parameters, torch.ones(5, 1, dtype=torch.float64)
    for noise in agents.noises(2):
        x, w = p @ (x - RATE * (agents.all_gradients(x / w) + noise)), p @ w
    iterates(Sgp(learning_rate=RATE), agents, matrix)
    torch.testing.assert_close(agents.parameters, x / w, rtol=0, atol=1e-10)

    agents = Quadratics()
    mean = agents.parameters.mean(0)
    iterates(Sgp(learning_rate=1e-300), agents, matrix, rounds=40)
    torch.testing.assert_close(agents.parameters, mean.expand(5, -1), rtol=0, atol=1e-9)
    biased = Quadratics()
    iterates(Dpsgd(learning_rate=1e-300), biased, matrix, rounds=40)
    assert (biased.parameters - mean).abs().max() > 1e-2


KEEP_THE_MEAN = [
    Dpsgd(learning_rate=RATE),
    Cdsgd(learning_rate=RATE),
    Sgp(learning_rate=RATE),
    LdSgd(learning_rate=RATE),
]


@pytest.mark.parametrize("method", KEEP_THE_MEAN, ids=lambda method: method.name)
@pytest.mark.parametrize("graph", [Ring(), Complete(), TwoHub()])
def test_the_mean_moves_by_the_mean_gradient(method, graph):
    agents = Quadratics(noise=0.3)
    communicator = InProcess(graph.mixing_matrix(5))
    agents.state.declare(method.keeps)
    for step in agents.steps(1):
        x = agents.parameters
        communicator.advance()
        method.step(agents, communicator, step, RATE)
        expected = x.mean(0) - RATE * step.gradients(x).mean(0)
        torch.testing.assert_close(agents.parameters.mean(0), expected, rtol=0, atol=1e-12)


def test_the_final_merge_is_consensus_at_the_mean_and_is_paid_for():
    agents = Quadratics()
    method = FinalMerge(learning_rate=RATE)
    communicator = iterates(method, agents, RING)
    mean = agents.parameters.mean(0)
    sent = communicator.bytes_sent[0, "models"]
    method.finish(agents, communicator)
    torch.testing.assert_close(agents.parameters, mean.expand(5, -1), rtol=0, atol=1e-12)
    assert communicator.bytes_sent[0, "models"] - sent == 4 * agents.parameters[0].nbytes


def test_a_swarm_takes_the_steps_of_the_others_on_average():
    agents = Quadratics(noise=0.3)
    method = SwarmSgd(learning_rate=RATE, local_steps=3)
    communicator = iterates(method, agents, RING, rounds=4)
    assert sum(agents.steps_taken) == 4 * STEPS * 5
    assert len(set(agents.steps_taken)) > 1
    assert sum(communicator.messages_sent.values()) == sum(agents.steps_taken) / 3


def test_a_meeting_is_two_local_descents_and_their_average():
    agents = Quadratics(agents=2, noise=0.3)
    x = agents.parameters
    noises = agents.noises(1)
    for h in range(STEPS):
        x = x - RATE * (agents.all_gradients(x) + noises[h])
        if h % 2:
            x = x.mean(0, keepdim=True).expand(2, -1)
    iterates(SwarmSgd(learning_rate=RATE), agents, Ring().mixing_matrix(2), 1)
    torch.testing.assert_close(agents.parameters, x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("graph", [Ring(), Complete(), TwoHub()])
def test_matcha_with_its_whole_budget_is_gossip_over_all_links(graph):
    agents = Quadratics(noise=0.3)
    communicator = InProcess(graph.mixing_matrix(5))
    laplacian = numpy.zeros((5, 5))
    for i, j in communicator.edges():
        laplacian[[i, j], [i, j]] += 1
        laplacian[[i, j], [j, i]] -= 1
    alpha = plan(tuple(communicator.edges()), 5, 1.0).step
    w = torch.from_numpy(numpy.eye(5) - alpha * laplacian)
    expected = recursion(agents, None, lambda x, g, k: w @ (x - RATE * g(x)))
    iterates(Matcha(learning_rate=RATE, budget=1.0), agents, communicator.mixing)
    torch.testing.assert_close(agents.parameters, expected, rtol=0, atol=1e-10)


def test_matcha_spends_its_budget_on_average_and_keeps_the_mean():
    communicator = InProcess(Complete().mixing_matrix(6))
    method = Matcha(budget=0.4)
    parts, probabilities, alpha = plan(tuple(communicator.edges()), 6, 0.4)
    generator = numpy.random.default_rng(0)
    used = []
    for _ in range(2000):
        matrix = method.links(communicator, generator)
        numpy.testing.assert_allclose(matrix, matrix.T)
        numpy.testing.assert_allclose(matrix.sum(0), 1)
        on = [matching for matching in parts if matrix[matching[0]] > 0]
        assert all(matrix[link] == alpha for matching in on for link in matching)
        used.append(len(on))
    assert numpy.mean(used) == pytest.approx(0.4 * len(parts), abs=4 * numpy.std(used) / len(used) ** 0.5)
    assert sum(probabilities) == pytest.approx(0.4 * len(parts), abs=1e-5)


CHANGING = {
    "failing": Complete(link_failures=0.3),
    "in turn": Sequence(
        graphs=(EdgeList(edge_list=((0, 1), (2, 3), (4, 5))), EdgeList(edge_list=((1, 2), (3, 4), (0, 5))))
    ),
}


@pytest.mark.parametrize("graph", CHANGING.values(), ids=CHANGING)
def test_matcha_plans_for_the_whole_graph_whatever_links_are_there(graph):
    randomness = Randomness("test", 0)
    communicator = InProcess(lambda time: graph.mixing_at(6, time, randomness), whole=graph.mixing_matrix(6))
    parts, probabilities, alpha = plan(tuple(graph.edges(6)), 6, 0.5)
    method = Matcha(budget=0.5)
    generator = numpy.random.default_rng(0)
    there, used = numpy.zeros((6, 6)), numpy.zeros((6, 6))
    for _ in range(2000):
        communicator.advance()
        matrix = method.links(communicator, generator)
        numpy.testing.assert_allclose(matrix, matrix.T)
        numpy.testing.assert_allclose(matrix.sum(0), 1)
        links = [(i, j) for i, j in graph.edges(6) if matrix[i, j]]
        assert set(links) <= set(communicator.edges())
        assert all(matrix[link] == alpha for link in links)
        for link in communicator.edges():
            there[link] += 1
        for link in links:
            used[link] += 1
    for matching, probability in zip(parts, probabilities, strict=True):
        for link in matching:
            sigma = (0.25 / there[link]) ** 0.5
            assert used[link] / there[link] == pytest.approx(probability, abs=4.5 * sigma)


def test_matcha_must_know_the_whole_graph():
    graph = Ring(link_failures=0.3)
    communicator = InProcess(lambda time: graph.mixing_at(5, time, Randomness("test", 0)))
    with pytest.raises(ValueError, match="whole graph"):
        Matcha().links(communicator, numpy.random.default_rng(0))


# Averages that keep their variance.


@given(st.integers(2, 5), st.integers(0, 2**31))
def test_corrected_averages_vary_like_their_parents(parents, seed):
    generator = torch.Generator().manual_seed(seed)
    states = [
        {"weight": torch.randn(6, 7, generator=generator).double(), "running_mean": torch.ones(6)}
        for _ in range(parents)
    ]
    weights = torch.rand(parents, generator=generator).double()
    weights = (weights / weights.sum()).tolist()
    merged = corrected_average(states, weights, ["weight"])
    average = sum(w * state["weight"] for w, state in zip(weights, states, strict=True))
    variance = sum(w * state["weight"].var() for w, state in zip(weights, states, strict=True))
    torch.testing.assert_close(merged["weight"].var(), variance)
    torch.testing.assert_close(merged["weight"].mean(), average.mean())
    correlation = torch.corrcoef(torch.stack([merged["weight"].flatten(), average.flatten()]))[0, 1]
    assert correlation == pytest.approx(1)
    torch.testing.assert_close(merged["running_mean"], torch.ones(6))
    same = corrected_average([states[0]] * parents, weights, ["weight"])
    torch.testing.assert_close(same["weight"], states[0]["weight"])
