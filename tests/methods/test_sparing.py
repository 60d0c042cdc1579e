"""Methods that send little, against recursions written out agent by agent, and what they promise."""

import itertools

import numpy
import pytest
import torch
from pydantic import ValidationError
from support.quadratics import RATE, RING, STEPS, Quadratics, iterates, mixing, recursion

from dimat.communication.compression import Identity, Quantized, RandomK, Signs, TopK
from dimat.communication.in_process import InProcess
from dimat.methods.choco import Choco
from dimat.methods.diloco import Diloco
from dimat.methods.dpsgd import Dpsgd
from dimat.methods.epidemic import Epidemic
from dimat.methods.gradient_tracking import GradientTracking
from dimat.methods.k_gt import KGt
from dimat.methods.noloco import Noloco, pairs
from dimat.methods.papa import Papa
from dimat.methods.sparta import Sparta
from dimat.methods.wash import Wash, layer_of
from dimat.randomness import Randomness
from dimat.topology import Complete, Ring, TwoHub

COMPLETE = Complete().mixing_matrix(5)
MANY = 200
"""Entries of vectors, where shares of them matter."""


def after(method, matrix=RING, rounds=2, **options):
    """X after some rounds, and who has sent what."""
    agents = Quadratics(noise=0.3, **options)
    communicator = iterates(method, agents, matrix, rounds)
    return agents.parameters, communicator


def same(found, expected, atol=1e-10):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


# CHOCO-SGD.


@pytest.mark.parametrize("options", [{}, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1}])
def test_choco_without_compression_is_dpsgd(options):
    whole = Choco(learning_rate=RATE, compression=Identity(), gamma=1.0, **options)
    same(after(whole)[0], after(Dpsgd(learning_rate=RATE, **options))[0])


def largest(vector, count):
    """The entries of largest magnitude; all others are 0."""
    kept = numpy.argsort(-abs(vector))[:count]
    return numpy.where(numpy.isin(numpy.arange(len(vector)), kept), vector, 0)


def with_one_copy(public, half, gamma, averaging):
    """X and the one public copy of each agent after a step that leads to ``half``, as the papers have it."""

    def drawn(x, public):
        return x + gamma * numpy.array(
            [sum(RING[i, j] * (public[j] - public[i]) for j in range(5)) for i in range(5)]
        )

    if averaging == "before_telling":
        half = drawn(half, public)
    public = public + numpy.array([largest(half[i] - public[i], 2) for i in range(5)])
    return drawn(half, public) if averaging == "after_telling" else half, public


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("averaging", ["after_telling", "before_telling"])
def test_choco_is_its_recursion_with_one_public_copy_of_each_agent(averaging, momentum):
    agents, gamma = Quadratics(noise=0.3), 0.4
    x = agents.parameters.numpy()
    public, kept = numpy.zeros_like(x), numpy.zeros_like(x)
    for noise in agents.noises(2).numpy():
        gradients = agents.all_gradients(torch.from_numpy(x)).numpy() + noise
        kept = momentum * kept + gradients
        x, public = with_one_copy(public, x - RATE * kept, gamma, averaging)
    options = {"gamma": gamma, "momentum": momentum, "averaging": averaging}
    method = Choco(learning_rate=RATE, compression=TopK(share=0.5), **options)
    same(after(method)[0], torch.from_numpy(x))


def test_choco_without_compression_that_averages_first_is_cdsgd_once_copies_are_there():
    agents = Quadratics(noise=0.3)
    x = agents.parameters.numpy()
    for number, noise in enumerate(agents.noises(2).numpy()):
        gradients = agents.all_gradients(torch.from_numpy(x)).numpy() + noise
        x = (RING @ x if number else x) - RATE * gradients
    method = Choco(learning_rate=RATE, compression=Identity(), gamma=1.0, averaging="before_telling")
    same(after(method)[0], torch.from_numpy(x))


def test_where_choco_averages_is_said_only_where_it_is_not_after_telling():
    assert "averaging" not in Choco().model_dump(mode="json")
    before = Choco(averaging="before_telling")
    assert Choco.model_validate(before.model_dump(mode="json")) == before


@pytest.mark.parametrize("compression", [TopK(share=0.5), RandomK(share=0.5), Quantized(bits=8), Signs()])
@pytest.mark.parametrize("graph", [Ring(), TwoHub(), Complete(link_failures=0.4)])
@pytest.mark.parametrize("averaging", ["after_telling", "before_telling"])
def test_choco_keeps_the_mean_and_both_ends_the_same_copies_though_links_fail(averaging, compression, graph):
    agents = Quadratics(noise=0.3)
    method = Choco(learning_rate=RATE, compression=compression, gamma=0.4, averaging=averaging)
    randomness = Randomness("test", 0)
    communicator = InProcess(lambda time: graph.mixing_at(5, time, randomness))
    agents.state.declare(method.keeps)
    for step in agents.steps(1):
        x = agents.parameters
        communicator.advance()
        method.step(agents, communicator, step, RATE)
        same(agents.parameters.mean(0), x.mean(0) - RATE * step.gradients(x).mean(0), 1e-12)
        for i, j in itertools.permutations(range(5), 2):
            assert torch.equal(agents.state["told", (i, j)], agents.state["heard", (j, i)])


@pytest.mark.parametrize(
    ("compression", "gamma"),
    [(TopK(share=0.1), 0.3), (RandomK(share=0.1), 0.1), (Quantized(bits=4, bucket=50), 0.5), (Signs(), 0.3)],
    ids=lambda each: str(each),
)
def test_choco_comes_to_consensus_at_the_mean(compression, gamma):
    agents = Quadratics(size=60)
    start = agents.parameters
    iterates(Choco(learning_rate=1e-300, compression=compression, gamma=gamma), agents, RING, rounds=40)
    apart = (agents.parameters - start.mean(0)).norm() / (start - start.mean(0)).norm()
    assert apart < 0.2


def test_what_choco_sends():
    _, communicator = after(Choco(compression=TopK(share=0.1)), size=MANY)
    assert communicator.bytes_sent[3, "models"] == 2 * STEPS * 2 * 20 * (8 + 4)


# Epidemic Learning.


def test_an_epidemic_that_reaches_all_is_the_mean_of_all():
    expected = recursion(Quadratics(noise=0.3), None, lambda x, g, k: (x - RATE * g(x)).mean(0).expand(5, -1))
    same(after(Epidemic(learning_rate=RATE, receivers=4), COMPLETE)[0], expected)
    everyone = Epidemic(learning_rate=RATE, receivers=100)
    same(after(everyone, COMPLETE)[0], expected)


@pytest.mark.parametrize("graph", [Complete(), TwoHub()])
def test_each_agent_sends_to_its_number_of_others_and_what_comes_is_averaged(graph):
    method = Epidemic(receivers=2)
    communicator, randomness = InProcess(graph.mixing_matrix(6)), Randomness("test", 0)
    often = numpy.zeros((6, 6))
    for number in range(1500):
        matrix = method.links(communicator, randomness, number)
        for agent in range(6):
            there = communicator.receivers(agent)
            reached = [i for i in range(6) if i != agent and matrix[i, agent] > 0]
            assert len(reached) == min(2, len(there)) and set(reached) <= set(there)
            came = matrix[agent] > 0
            assert came[agent] and numpy.allclose(matrix[agent, came], 1 / came.sum())
        often += matrix > 0
    for agent in range(6):
        there = communicator.receivers(agent)
        share = min(2, len(there)) / len(there)
        sigma = (share * (1 - share) / 1500) ** 0.5
        assert often[there, agent] / 1500 == pytest.approx(share, abs=4.5 * sigma + 1e-12)


def test_an_agent_without_links_sends_to_nobody_in_an_epidemic():
    alone = numpy.eye(5)
    numpy.testing.assert_array_equal(Epidemic().links(InProcess(alone), Randomness("test", 0), 0), alone)


def test_an_epidemic_is_its_matrices_after_local_steps():
    agents = Quadratics(noise=0.3)
    method = Epidemic(learning_rate=RATE, receivers=1, local_steps=3)
    communicator = InProcess(COMPLETE)
    drawn = {k: method.links(communicator, agents.randomness, k) for k in range(2, 2 * STEPS, 3)}
    assert len({matrix.tobytes() for matrix in drawn.values()}) > 1

    def step(x, g, k):
        x = x - RATE * g(x)
        return torch.from_numpy(drawn[k]) @ x if k in drawn else x

    expected = recursion(Quadratics(noise=0.3), None, step)
    found, communicator = after(method, COMPLETE)
    same(found, expected)
    assert communicator.bytes_sent[2, "models"] == len(drawn) * 32


# DiLoCo and NoLoCo.


def trained(method, matrix, rounds=4):
    """Phi after each outer step, and X before it, where agents learn by one large gradient step."""
    agents = Quadratics()
    communicator = InProcess(matrix)
    agents.state.declare(method.keeps)
    seen = []
    for round in range(1, rounds + 1):
        x = agents.parameters
        method.step(agents, communicator, round)
        seen.append((x, agents.parameters))
        agents.parameters = agents.parameters - 0.3 * agents.all_gradients(agents.parameters)
    return seen, communicator


@pytest.mark.parametrize("matrix", [COMPLETE, RING], ids=["complete", "ring"])
def test_outer_steps_of_diloco_are_those_of_torch(matrix):
    seen, communicator = trained(Diloco(outer_rate=0.6, outer_momentum=0.8), matrix)
    first, start = seen[0]
    same(start, mixing(matrix) @ first)
    outer = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.SGD([outer], 0.6, momentum=0.8, nesterov=True)
    for x, phi in seen[1:]:
        outer.grad = outer.detach() - mixing(matrix) @ x
        optimizer.step()
        same(phi, outer.detach())
    assert communicator.bytes_sent[0, "models"] == 4 * 32 * (4 if matrix is COMPLETE else 2)


def test_diloco_has_one_network_on_the_complete_graph():
    seen, _ = trained(Diloco(), COMPLETE)
    for _, phi in seen:
        same(phi, phi[:1].expand(5, -1), 1e-12)


def test_noloco_is_its_recursion_among_the_pairs_that_are_drawn():
    method = Noloco(outer_rate=0.6, outer_momentum=0.4, gamma=0.9)
    seen, communicator = trained(method, COMPLETE)
    phi = seen[0][0].numpy()
    momentum, sent = numpy.zeros_like(phi), numpy.zeros(5)
    randomness = Quadratics().randomness
    for round, (x, found) in enumerate(seen, start=1):
        learnt = (x.numpy() - phi) if round > 1 else numpy.zeros_like(phi)
        drawn = pairs(communicator.edges(), randomness.numpy("pairs", round=round))
        assert len(drawn) == 2
        groups = [*drawn, *([i] for i in range(5) if not any(i in pair for pair in drawn))]
        new = phi.copy()
        for group in map(list, groups):
            sent[group] += (len(group) - 1) * 2 * 32
            for i in group:
                momentum[i] = 0.4 * momentum[i] + 0.6 * learnt[group].mean(0)
                momentum[i] -= 0.9 * (phi[i] - phi[group].mean(0))
                new[i] = phi[i] + momentum[i]
        phi = new
        same(found, torch.from_numpy(phi))
    assert [communicator.bytes_sent[i, "models"] for i in range(5)] == sent.tolist()


@pytest.mark.parametrize("agents", [2, 5, 6])
def test_pairs_are_disjoint_and_all_are_drawn(agents):
    edges = list(itertools.combinations(range(agents), 2))
    generator = numpy.random.default_rng(0)
    seen = set()
    for _ in range(200):
        drawn = pairs(edges, generator)
        assert len({agent for pair in drawn for agent in pair}) == 2 * len(drawn) == agents - agents % 2
        seen |= set(drawn)
    assert seen == set(edges)


# SPARTA and WASH.


def test_sparta_with_all_entries_is_dpsgd():
    same(after(Sparta(learning_rate=RATE, share=1.0))[0], after(Dpsgd(learning_rate=RATE))[0])


def test_sparta_averages_the_same_few_entries_of_all():
    agents = Quadratics(size=MANY)
    communicator = iterates(Sparta(learning_rate=1e-300, share=0.05), agents, COMPLETE, rounds=1)
    start, found = Quadratics(size=MANY).parameters, agents.parameters
    averaged = (found == start).all(0).logical_not()
    assert 10 < averaged.sum() <= STEPS * 10
    same(found[:, averaged], start[:, averaged].mean(0).expand(5, -1))
    assert communicator.bytes_sent[1, "models"] == STEPS * 4 * 10 * 8  # values of 10 entries to 4 others


def test_wash_permutes_entries_among_agents_and_averages_nothing():
    agents = Quadratics(size=MANY)
    method = Wash(learning_rate=1e-300, probability=0.05)
    communicator = iterates(method, agents, COMPLETE, rounds=1)
    start, found = Quadratics(size=MANY).parameters, agents.parameters
    assert torch.equal(found.sort(0).values, start.sort(0).values)
    moved = found != start
    assert 10 < moved.any(0).sum() < STEPS * 20
    assert sum(communicator.bytes_sent.values()) >= 8 * moved.sum()


def test_wash_on_a_sparse_graph_moves_entries_over_its_links_alone():
    agents = Quadratics(size=400)
    start = agents.parameters
    iterates(Wash(learning_rate=1e-300, probability=0.05), agents, RING, rounds=1)
    found = agents.parameters
    assert torch.equal(found.sort(0).values, start.sort(0).values)
    assert (found != start).any()
    communicator = InProcess(RING)
    entries, sources = Wash(probability=1.0).shuffled(agents, communicator, numpy.random.default_rng(0))
    assert 0 < len(entries) < 400
    for row in sources:
        assert sorted(row) == list(range(5))
        assert all(i == j or j in communicator.senders(i) for i, j in enumerate(row))


def test_wash_shuffles_as_often_as_it_says_and_less_from_layer_to_layer(make_agents):
    agents = make_agents(agents=3)
    layers = numpy.repeat(layer_of(agents.shapes), agents.sizes)
    last = layers.max()
    assert last >= 2
    communicator = InProcess(Complete().mixing_matrix(3))
    generator = numpy.random.default_rng(0)
    times = 100
    for by_layer in ("falling", "constant"):
        method = Wash(probability=0.2, by_layer=by_layer)
        drawn = [method.shuffled(agents, communicator, generator)[0] for _ in range(times)]
        often = numpy.bincount(numpy.concatenate(drawn), minlength=len(layers))
        for layer in range(last + 1):
            here = often[layers == layer]
            expected = 0.2 * (1 - layer / last if by_layer == "falling" else 1)
            sigma = (expected * (1 - expected) / (times * len(here))) ** 0.5
            assert here.mean() / times == pytest.approx(expected, abs=4.5 * sigma)


def test_tensors_of_a_module_are_one_layer():
    assert layer_of(["a.weight", "a.bias", "b.0.weight", "b.1.weight", "b.1.bias", "c"]) == [0, 0, 1, 2, 2, 3]


# PAPA.


@pytest.mark.parametrize("matrix", [COMPLETE, RING], ids=["complete", "ring"])
def test_papa_pulls_to_the_mean_every_few_steps_and_less_where_rates_fall(matrix):
    def step(x, g, k):
        rate = RATE * 0.5 ** (k // 3)
        x = x - rate * g(x)
        pull = 0.2 * 0.5 ** (k // 3)
        return (1 - pull) * x + pull * (mixing(matrix) @ x) if k % 2 else x

    expected = recursion(Quadratics(noise=0.3), None, step)
    found, communicator = after(Papa(learning_rate=RATE, every=2, pull=0.2, decay=0.5), matrix)
    same(found, expected)
    assert communicator.bytes_sent[0, "models"] == STEPS * 32 * (4 if matrix is COMPLETE else 2)


# K-GT.


def test_k_gt_is_its_algorithm_agent_by_agent():
    agents, k, outer = Quadratics(noise=0.3), 3, 0.8
    x = agents.parameters.numpy()
    noises = agents.noises(2).numpy()
    correction = numpy.zeros_like(x)
    for first in range(0, len(noises), k):
        local = x
        for noise in noises[first : first + k]:
            gradients = agents.all_gradients(torch.from_numpy(local)).numpy() + noise
            local = local - RATE * (gradients + correction)
        z = (x - local) / (k * RATE)
        correction = numpy.array(
            [correction[i] - z[i] + sum(RING[i, j] * z[j] for j in range(5)) for i in range(5)]
        )
        stepped = x - k * outer * RATE * z
        x = numpy.array([sum(RING[i, j] * stepped[j] for j in range(5)) for i in range(5)])
    found, communicator = after(KGt(learning_rate=RATE, local_steps=k, outer_rate=outer))
    same(found, torch.from_numpy(x))
    assert communicator.bytes_sent == {
        (i, kind): 2 * STEPS // k * 2 * 32 for i in range(5) for kind in ("models", "trackers")
    }


def test_k_gt_with_one_local_step_is_gradient_tracking():
    one = KGt(learning_rate=RATE, local_steps=1)
    same(after(one)[0], after(GradientTracking(learning_rate=RATE, form="dsgt"))[0])


def test_k_gt_reaches_the_exact_minimizer_with_local_steps():
    agents = Quadratics()
    iterates(KGt(learning_rate=0.02, local_steps=4), agents, RING, rounds=400)
    total = torch.einsum("iab,ib->a", agents.curvature, agents.center)
    same(agents.parameters, torch.linalg.solve(agents.curvature.sum(0), total).expand(5, -1), 1e-6)


# Options.


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        (Choco, {"gamma": 0.0}),
        (Choco, {"gamma": 1.1}),
        (Epidemic, {"receivers": 0}),
        (Diloco, {"outer_momentum": 1.0}),
        (Noloco, {"gamma": -0.1}),
        (Sparta, {"share": 0.0}),
        (Wash, {"probability": 1.5}),
        (Papa, {"pull": 0.0}),
        (KGt, {"local_steps": 0}),
    ],
)
def test_bounds_of_options(method, wrong):
    (key,) = wrong
    with pytest.raises(ValidationError, match=key):
        method(**wrong)
