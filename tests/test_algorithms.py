"""Methods against closed forms, on quadratics whose gradients are known; and what each of them promises."""

from itertools import count, islice, pairwise

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from dimat.algorithms.cdmsgd import Cdmsgd
from dimat.algorithms.cdsgd import Cdsgd
from dimat.algorithms.cga import Cga, project
from dimat.algorithms.dpsgd import Dpsgd
from dimat.algorithms.final_merge import FinalMerge
from dimat.algorithms.gradient_tracking import GradientTracking
from dimat.algorithms.ld_sgd import LdSgd
from dimat.algorithms.matcha import Matcha, decomposition
from dimat.algorithms.quasi_global import QuasiGlobal
from dimat.algorithms.sgp import Sgp
from dimat.algorithms.sign_compression import compress, decompress
from dimat.algorithms.swarm_sgd import SwarmSgd
from dimat.algorithms.variance_corrected import corrected_average
from dimat.algorithms.weight_matching import WeightMatching
from dimat.graphs import Complete, Ring, TwoHub
from dimat.merging.options import Merge
from dimat.network.in_process import InProcess
from dimat.randomness import Randomness
from dimat.training.agents import Agents, Diverged

RATE = 0.07
STEPS = 6
"""Steps in a round of `Quadratics`."""
RING = Ring(name="ring").mixing_matrix(5)


class Quadratics(Agents):
    """f_i(x) = (x - c_i)^T A_i (x - c_i) / 2 in double precision; a sample is the noise of the gradient."""

    def __init__(self, agents=5, size=4, noise=0.0, seed=0):
        super().__init__(agents, Randomness("quadratics", seed))
        self.epochs, self.steps_per_epoch = 2, STEPS // 2
        self.noise = noise
        generator = torch.Generator().manual_seed(seed)
        root = torch.randn(agents, size, size, generator=generator, dtype=torch.float64)
        self.curvature = root @ root.mT / size + 0.1 * torch.eye(size, dtype=torch.float64)
        self.center = torch.randn(agents, size, generator=generator, dtype=torch.float64)
        self.x = torch.randn(agents, size, generator=generator, dtype=torch.float64)

    @property
    def parameters(self):
        return self.x.clone()

    @parameters.setter
    def parameters(self, values):
        self.x = values.clone()

    def samples(self, row, round):
        generator = self.randomness.numpy("noise", agent=self.mine[row], round=round)
        return (self.noise * torch.from_numpy(generator.normal(size=self.x.shape[1])) for _ in count())

    def gradient(self, row, sample, point, *, own=True):
        return self.curvature[row] @ (point - self.center[row]) + sample

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
    """The network, after all steps of some rounds; parameters are those of ``agents``."""
    network = InProcess(matrix)
    for round in range(1, rounds + 1):
        method.learn(agents, network, round)
    return network


def recursion(agents, matrix, step, rounds=2):
    """X after all steps; ``step(x, g, k)`` gives the next X from X and the noisy gradients G(X)."""
    x = agents.parameters
    for k, noise in enumerate(agents.noises(rounds)):
        x = step(x, lambda at, noise=noise: agents.all_gradients(at) + noise, k)
    return x


def mixing(matrix=RING):
    return torch.from_numpy(matrix)


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
        self.before = torch.zeros(5, 4, dtype=torch.float64)

    def heavy_ball(self, x, g, k):
        self.m = 0.8 * self.m + g(x)
        return mixing() @ (x - RATE * self.m)

    def polyak(self, x, g, k):
        self.m = 0.8 * self.m - RATE * g(x)
        return mixing() @ x + self.m

    def nesterov(self, x, g, k):
        self.m = 0.8 * self.m + g(x)
        return mixing() @ x - RATE * (g(x) + 0.8 * self.m)

    def tracking(self, x, g, k):
        self.m = mixing() @ self.m + g(x) - self.before
        self.before = g(x)
        return mixing() @ x - RATE * self.m

    def quasi_global(self, x, g, k):
        moved = mixing() @ (x - RATE * (0.8 * self.m + g(x)))
        self.m = 0.8 * self.m + 0.2 * (x - moved) / RATE
        return moved


CLOSED_FORMS = {
    "dpsgd": (Dpsgd(name="dpsgd", learning_rate=RATE), lambda: dpsgd),
    "dpsgd, momentum": (
        Dpsgd(name="dpsgd", learning_rate=RATE, momentum=0.8),
        lambda: WithMomentum().heavy_ball,
    ),
    "cdsgd": (Cdsgd(name="cdsgd", learning_rate=RATE), lambda: cdsgd),
    "cdmsgd": (Cdmsgd(name="cdmsgd", learning_rate=RATE, momentum=0.8), lambda: WithMomentum().polyak),
    "cdmsgd, published": (
        Cdmsgd(name="cdmsgd", learning_rate=RATE, momentum=0.8, nesterov=True),
        lambda: WithMomentum().nesterov,
    ),
    "sgp without direction": (Sgp(name="sgp", learning_rate=RATE), lambda: dpsgd),
    "ld_sgd": (LdSgd(name="ld_sgd", learning_rate=RATE, local_steps=2, gossip_steps=3), lambda: ld_sgd),
    "final_merge before its end": (FinalMerge(name="final_merge", learning_rate=RATE), lambda: dpsgd),
    "gradient_tracking": (
        GradientTracking(name="gradient_tracking", learning_rate=RATE),
        lambda: WithMomentum().tracking,
    ),
    "quasi_global": (
        QuasiGlobal(name="quasi_global", learning_rate=RATE, momentum=0.8),
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
    iterates(Cdsgd(name="cdsgd", learning_rate=RATE, decay=0.5), agents, RING)
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
    iterates(Sgp(name="sgp", learning_rate=RATE), agents, matrix)
    torch.testing.assert_close(agents.parameters, x / w, rtol=0, atol=1e-10)

    agents = Quadratics()
    mean = agents.parameters.mean(0)
    iterates(Sgp(name="sgp", learning_rate=1e-300), agents, matrix, rounds=40)
    torch.testing.assert_close(agents.parameters, mean.expand(5, -1), rtol=0, atol=1e-9)
    biased = Quadratics()
    iterates(Dpsgd(name="dpsgd", learning_rate=1e-300), biased, matrix, rounds=40)
    assert (biased.parameters - mean).abs().max() > 1e-2


KEEP_THE_MEAN = [
    Dpsgd(name="dpsgd", learning_rate=RATE),
    Cdsgd(name="cdsgd", learning_rate=RATE),
    Sgp(name="sgp", learning_rate=RATE),
    LdSgd(name="ld_sgd", learning_rate=RATE),
    GradientTracking(name="gradient_tracking", learning_rate=RATE),
]


@pytest.mark.parametrize("method", KEEP_THE_MEAN, ids=lambda method: method.name)
@pytest.mark.parametrize("graph", [Ring(name="ring"), Complete(name="complete"), TwoHub(name="two_hub")])
def test_the_mean_moves_by_the_mean_gradient(method, graph):
    agents = Quadratics(noise=0.3)
    network = InProcess(graph.mixing_matrix(5))
    for step in agents.steps(1):
        x = agents.parameters
        network.advance()
        method.step(agents, network, step, RATE)
        expected = x.mean(0) - RATE * step.gradients(x).mean(0)
        torch.testing.assert_close(agents.parameters.mean(0), expected, rtol=0, atol=1e-12)


def optimum(agents):
    """Where the mean of all gradients vanishes."""
    total = torch.einsum("iab,ib->a", agents.curvature, agents.center)
    return torch.linalg.solve(agents.curvature.sum(0), total)


def test_gradient_tracking_reaches_the_optimum_and_gossip_stays_off_it():
    tracked, gossip = Quadratics(), Quadratics()
    iterates(GradientTracking(name="gradient_tracking", learning_rate=0.05), tracked, RING, rounds=250)
    iterates(Dpsgd(name="dpsgd", learning_rate=0.05), gossip, RING, rounds=250)
    torch.testing.assert_close(tracked.parameters, optimum(tracked).expand(5, -1), rtol=0, atol=1e-8)
    assert (gossip.parameters - optimum(gossip)).abs().max() > 1e-2


def test_trackers_are_sent_from_the_second_step_on():
    network = iterates(GradientTracking(name="gradient_tracking"), Quadratics(), RING)
    assert network.bytes_sent[0, "models"] == 2 * STEPS * 2 * 32
    assert network.bytes_sent[0, "trackers"] == (2 * STEPS - 1) * 2 * 32


def test_the_final_merge_is_consensus_at_the_mean_and_is_paid_for():
    agents = Quadratics()
    method = FinalMerge(name="final_merge", learning_rate=RATE)
    network = iterates(method, agents, RING)
    mean = agents.parameters.mean(0)
    sent = network.bytes_sent[0, "models"]
    method.finish(agents, network)
    torch.testing.assert_close(agents.parameters, mean.expand(5, -1), rtol=0, atol=1e-12)
    assert network.bytes_sent[0, "models"] - sent == 4 * agents.parameters[0].nbytes


def test_a_swarm_takes_the_steps_of_the_others_on_average():
    agents = Quadratics(noise=0.3)
    method = SwarmSgd(name="swarm_sgd", learning_rate=RATE, local_steps=3)
    network = iterates(method, agents, RING, rounds=4)
    assert sum(agents.steps_taken) == 4 * STEPS * 5
    assert len(set(agents.steps_taken)) > 1
    assert sum(network.messages_sent.values()) == sum(agents.steps_taken) / 3


def test_a_meeting_is_two_local_descents_and_their_average():
    agents = Quadratics(agents=2, noise=0.3)
    x = agents.parameters
    noises = agents.noises(1)
    for h in range(STEPS):
        x = x - RATE * (agents.all_gradients(x) + noises[h])
        if h % 2:
            x = x.mean(0, keepdim=True).expand(2, -1)
    iterates(SwarmSgd(name="swarm_sgd", learning_rate=RATE), agents, Ring(name="ring").mixing_matrix(2), 1)
    torch.testing.assert_close(agents.parameters, x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("graph", [Ring(name="ring"), Complete(name="complete"), TwoHub(name="two_hub")])
def test_matcha_with_its_whole_budget_is_gossip_over_all_links(graph):
    agents = Quadratics(noise=0.3)
    network = InProcess(graph.mixing_matrix(5))
    laplacian = numpy.zeros((5, 5))
    for i, j in network.edges():
        laplacian[[i, j], [i, j]] += 1
        laplacian[[i, j], [j, i]] -= 1
    alpha = decomposition(tuple(network.edges()), 5, 1.0)[2]
    w = torch.from_numpy(numpy.eye(5) - alpha * laplacian)
    expected = recursion(agents, None, lambda x, g, k: w @ (x - RATE * g(x)))
    iterates(Matcha(name="matcha", learning_rate=RATE, budget=1.0), agents, network.mixing)
    torch.testing.assert_close(agents.parameters, expected, rtol=0, atol=1e-10)


def test_matcha_spends_its_budget_on_average_and_keeps_the_mean():
    network = InProcess(Complete(name="complete").mixing_matrix(6))
    method = Matcha(name="matcha", budget=0.4)
    parts, probabilities, alpha = decomposition(tuple(network.edges()), 6, 0.4)
    generator = numpy.random.default_rng(0)
    used = []
    for _ in range(2000):
        matrix = method.links(network, generator)
        numpy.testing.assert_allclose(matrix, matrix.T)
        numpy.testing.assert_allclose(matrix.sum(0), 1)
        on = [matching for matching in parts if matrix[matching[0]] > 0]
        assert all(matrix[link] == alpha for matching in on for link in matching)
        used.append(len(on))
    assert numpy.mean(used) == pytest.approx(0.4 * len(parts), abs=4 * numpy.std(used) / len(used) ** 0.5)
    assert sum(probabilities) == pytest.approx(0.4 * len(parts), abs=1e-5)


# Cross-gradients.


def nearest(g, constraints):
    """The reference: non-negative least squares for the dual, by an active-set method."""
    weights, _ = nnls(constraints.T.numpy(), -g.numpy(), maxiter=10_000)
    return g + constraints.T @ torch.from_numpy(weights)


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**31), st.integers(6, 12))
def test_projections_are_feasible_and_those_of_a_reference_solver(agents, most, seed, size):
    generator = torch.Generator().manual_seed(seed)
    gradients = torch.randn(agents, size, generator=generator, dtype=torch.float64)
    counts = torch.randint(1, most + 1, (agents,), generator=generator).tolist()
    constraints = [torch.randn(n, size, generator=generator, dtype=torch.float64) for n in counts]
    found = project(gradients, [list(vectors) for vectors in constraints])
    for row, (g, vectors) in enumerate(zip(gradients, constraints, strict=True)):
        products = vectors @ found[row] / (vectors.norm(dim=1) * g.norm())
        assert products.min() > -1e-10
        torch.testing.assert_close(found[row], nearest(g, vectors), rtol=0, atol=1e-8)


def test_a_gradient_that_nobody_objects_to_is_kept():
    g = torch.tensor([[1.0, 2.0, 0.0]])
    torch.testing.assert_close(project(g, [[g[0], torch.tensor([0.0, 1.0, 5.0]), torch.zeros(3)]]), g)


@pytest.mark.parametrize("compressed", [False, True])
def test_cross_gradients_are_those_of_the_neighbours_at_ones_own_point(compressed):
    """One step of all agents, written out; the second step has momentum and, compressed, what was lost."""
    agents = Quadratics(noise=0.3)
    noises = agents.noises(1)
    x = agents.parameters
    v = torch.zeros_like(x)
    lost = {}
    neighbours = [[(i - 1) % 5, (i + 1) % 5] for i in range(5)]
    for noise in noises:
        projected = []
        for i in range(5):
            own = agents.gradient(i, noise[i], x[i])
            crossed = []
            for j in neighbours[i]:
                g = agents.gradient(j, noise[j], x[i])
                if compressed:
                    g = g + lost.get((j, i), 0)
                    kept = torch.where(g > 0, 1.0, -1.0) * float(g.abs().mean().float())
                    lost[j, i] = g - kept
                    g = kept
                crossed.append(g)
            projected.append(nearest(own, torch.stack([own, *crossed])))
        v = 0.8 * v - RATE * torch.stack(projected)
        x = mixing() @ x + v
    method = Cga(name="cga", learning_rate=RATE, momentum=0.8, compressed=compressed)
    network = iterates(method, agents, RING, rounds=1)
    torch.testing.assert_close(agents.parameters, x, rtol=0, atol=1e-7)
    size = 5 if compressed else 32  # of 4 numbers: a byte of signs and a scale, or double precision
    assert network.bytes_sent[0, "gradients"] == STEPS * 2 * size
    assert network.bytes_sent[0, "models"] == STEPS * 2 * 32


@given(st.integers(1, 70), st.integers(0, 2**31))
def test_signs_and_a_scale_survive(size, seed):
    vector = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    message = compress(vector)
    assert message.nbytes == -(-size // 8) + 4
    kept = decompress(message, vector)
    torch.testing.assert_close(kept, vector.sign() * vector.abs().mean(), rtol=1e-6, atol=0)


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


# Bytes, on real networks.


def bytes_of(agents):
    return agents.parameters[0].nbytes


@pytest.mark.parametrize(
    ("method", "models_per_step"),
    [
        (Dpsgd(name="dpsgd"), 2),
        (Cdmsgd(name="cdmsgd"), 2),
        (Sgp(name="sgp"), 2),
        (LdSgd(name="ld_sgd", local_steps=1, gossip_steps=1), 1),
        (QuasiGlobal(name="quasi_global"), 2),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_bytes_of_gossip_are_those_of_the_closed_form(method, models_per_step, make_fleet, make_network):
    fleet, network = make_fleet(agents=5, epochs=2), make_network(Ring(name="ring"), 5)
    method.learn(fleet, network, 1)
    steps = fleet.epochs * fleet.steps_per_epoch
    assert fleet.steps_taken == [steps] * 5
    for agent in range(5):
        assert network.bytes_sent[agent, "models"] == steps * models_per_step * bytes_of(fleet)
        assert network.bytes_sent[agent, "weights"] == (steps * 2 * 8 if method.name == "sgp" else 0)


def test_gradients_of_a_fleet_are_those_of_back_propagation(make_fleet):
    fleet = make_fleet(agents=3)
    (step,) = islice(fleet.steps(1), 1)
    found = step.gradients(fleet.parameters)
    for row, network in enumerate(fleet.models):
        images, labels = step.samples[row]
        network.train().zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        expected = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
        torch.testing.assert_close(found[row], expected)


def test_weights_are_matched_whatever_the_grid_says():
    method = WeightMatching(name="wm")
    merge = Merge(images="own", passes=2)
    point = method.canonical({"merge": merge})
    assert point["merge"].matcher.name == "weight"
    assert point["merge"].images == "own"


def test_a_neighbours_point_leaves_no_trace(make_fleet):
    fleet = make_fleet(agents=3)
    (step,) = islice(fleet.steps(1), 1)
    points = fleet.parameters
    before = [{name: tensor.clone() for name, tensor in state.items()} for state in fleet.states()]
    fleet.gradient(0, step.samples[0], points[1], own=False)
    for state, old in zip(fleet.states(), before, strict=True):
        assert all(torch.equal(state[name], old[name]) for name in old)
    fleet.gradient(0, step.samples[0], points[0])
    assert not torch.equal(fleet.states()[0]["features.1.running_mean"], before[0]["features.1.running_mean"])


def running_mean(fleet, row=0):
    return fleet.models[row].features[1].running_mean.clone()


def test_frozen_networks_keep_their_statistics(make_fleet, make_network):
    fleet, network = make_fleet(agents=3, epochs=1), make_network(Ring(name="ring"), 3)
    frozen = Dpsgd(name="dpsgd", normalization="frozen")
    start = running_mean(fleet)
    frozen.learn(fleet, network, 1)
    first = running_mean(fleet)
    assert not torch.equal(first, start)  # the first epoch is as ever
    frozen.learn(fleet, network, 2)
    assert torch.equal(running_mean(fleet), first)
    Dpsgd(name="dpsgd").learn(fleet, network, 3)
    assert not torch.equal(running_mean(fleet), first)


@pytest.mark.parametrize("images", ["own", "pooled"])
def test_normalization_is_recalibrated_before_a_method_is_evaluated(images, make_fleet, make_network):
    fleet, network = make_fleet(agents=3, epochs=1), make_network(Ring(name="ring"), 3)
    stages = Dpsgd(name="dpsgd").rounds(fleet, network, Merge(images=images), first=1, last=2)
    for stage in stages:
        if stage.name == "merged":
            holders = [1] if images == "own" else [0, 1, 2]
            seen = torch.cat([fleet.holdings[holder] for holder in holders])
            maps = fleet.models[1].features[0](fleet.data.normalized(fleet.data.train_images[seen]))
            torch.testing.assert_close(running_mean(fleet, 1), maps.mean((0, 2, 3)), rtol=1e-3, atol=1e-3)
    plain = Dpsgd(name="dpsgd").rounds(fleet, network, Merge(repair="none"), first=1, last=1)
    before = running_mean(fleet)
    list(plain)
    assert torch.equal(running_mean(fleet), before)


def test_the_final_merge_comes_in_the_last_round_alone(make_fleet, make_network):
    fleet, network = make_fleet(agents=4, epochs=1), make_network(Ring(name="ring"), 4)
    merge = Merge(repair="none")
    apart = {
        (stage.round, stage.name): float((fleet.parameters - fleet.parameters.mean(0)).abs().max())
        for stage in FinalMerge(name="final_merge").rounds(fleet, network, merge, first=1, last=3)
    }
    assert apart.pop((3, "merged")) < 1e-6
    assert min(apart.values()) > 1e-5  # gossip at every step leaves little, but not nothing


def test_equal_steps_are_those_of_the_mean_agent(make_fleet):
    from dimat.data.partitions import Dirichlet

    partition = Dirichlet(name="dirichlet", alpha=0.3)
    own = make_fleet(agents=4, partition=partition, epochs=2, batch_size=20)
    equal = make_fleet(agents=4, partition=partition, epochs=2, batch_size=20, steps="equal")
    own.train(1)
    equal.train(1)
    assert len(set(own.steps_taken)) > 1
    assert set(equal.steps_taken) == {2 * equal.steps_per_epoch}
    mean = sum(own.steps_taken) / 4
    assert abs(mean - equal.steps_taken[0]) <= 2


def test_samples_of_a_round_do_not_depend_on_the_rounds_before(make_fleet):
    fleet, other = make_fleet(agents=2), make_fleet(agents=2)
    list(fleet.steps(1))
    ours, theirs = ([step.samples[1] for step in agents.steps(2)] for agents in (fleet, other))
    for one, two in zip(ours, theirs, strict=True):
        assert torch.equal(one.images, two.images)
        assert torch.equal(one.labels, two.labels)
    assert not torch.equal(ours[0].labels, next(iter(other.steps(3))).samples[1].labels)
    assert all(b.number - a.number == 1 for a, b in pairwise(fleet.steps(2)))


def test_divergence_names_the_agent_the_method_and_its_setting(make_fleet, make_network):
    fleet, network = make_fleet(agents=3, epochs=1), make_network(Ring(name="ring"), 3)
    method = Dpsgd(name="dpsgd", learning_rate=1e3)
    stages = method.rounds(fleet, network, Merge(repair="none"), first=1, last=2)
    assert next(stages).name == "merged"
    with torch.no_grad():
        fleet.models[1].classifier.weight[0, 0] = torch.inf
    with pytest.raises(Diverged, match=r"agent 0 diverged .* in round 1 with dpsgd learning_rate 1000"):
        next(stages)  # one exchange later, agent 0 has it too
