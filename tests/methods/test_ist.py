"""Independent subnet training: its fixed points, its slices, its exchange, and what it refuses."""

from itertools import chain

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from support.quadratics import RATE, RING, STEPS, Quadratics, iterates

from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.errors import InputError
from dimat.experiment.reading import parse_study
from dimat.methods.dealing import Deal, Place
from dimat.methods.ist import Ist
from dimat.models import Plain, ResNet20
from dimat.models.plain import PlainNetwork
from dimat.models.slices import inside
from dimat.models.symmetry import permutation_groups
from dimat.topology import Chain, Complete, DirectedRing, Ring, Star


def with_one_loss(agents, size, curvature=None):
    """Agents that share the loss of the first one, x^T L x / 2 - b^T x; L and b."""
    found = Quadratics(agents=agents, size=size)
    curvature = found.curvature[0] if curvature is None else curvature
    found.task.curvature = curvature.expand(agents, -1, -1)
    found.task.center = found.center[:1].expand(agents, -1)
    return found, curvature, curvature @ found.center[0]


def drawn(agents, matrix, seed=0):
    communicator = InProcess(matrix)
    return Deal(agents, communicator, numpy.random.default_rng(seed))


# Fixed points.


@pytest.mark.parametrize("local_steps", [1, 3, 20])
def test_single_coordinates_end_where_the_diagonal_alone_would(local_steps):
    """D^-1 b, whatever is not on the diagonal D of L: far from the minimizer L^-1 b."""
    agents, curvature, linear = with_one_loss(5, 5)
    iterates(Ist(learning_rate=0.2, local_steps=local_steps), agents, Complete().mixing_matrix(5), rounds=100)
    fixed = linear / curvature.diag()
    torch.testing.assert_close(agents.parameters, fixed.expand(5, -1), rtol=0, atol=1e-12)
    assert (fixed - torch.linalg.solve(curvature, linear)).norm() > 0.3


def test_the_mean_iterate_of_larger_blocks_has_its_closed_form():
    """(D + (q - 1) / (d - 1) (L - D))^-1 b, H = 1: so often are two coordinates in one block of q of d."""
    n, q, d = 3, 2, 6
    agents, curvature, linear = with_one_loss(n, d)
    diagonal = curvature.diag().diag()
    mean = diagonal + (q - 1) / (d - 1) * (curvature - diagonal)
    fixed = torch.linalg.solve(mean, linear)
    agents.parameters = fixed.expand(n, -1)
    method, communicator = Ist(learning_rate=0.15, local_steps=1), InProcess(Complete().mixing_matrix(n))
    found = []
    for round in range(1, 401):
        method.learn(agents, communicator, round)
        found.append(agents.parameters[0])
    blocks = torch.stack(found).view(20, 20, d).mean(1)
    error = blocks.std(0) / 20**0.5
    assert ((blocks.mean(0) - fixed).abs() < 4.5 * error).all()
    assert ((blocks.mean(0) - linear / diagonal.diag()).abs() > 4.5 * error).any()
    assert ((blocks.mean(0) - torch.linalg.solve(curvature, linear)).abs() > 4.5 * error).any()


@pytest.mark.parametrize("size", [3, 4, 7])
def test_without_curvature_between_coordinates_nothing_is_lost(size):
    agents, _, linear = with_one_loss(3, size, torch.eye(size, dtype=torch.float64))
    iterates(Ist(learning_rate=0.3), agents, Complete().mixing_matrix(3), rounds=30)
    torch.testing.assert_close(agents.parameters, linear.expand(3, -1), rtol=0, atol=1e-12)


# One agent.


@pytest.mark.parametrize("local_steps", [1, 4])
def test_alone_an_agent_takes_the_steps_of_sgd_bit_by_bit(make_agents, local_steps):
    agents, same = (make_agents(agents=1, epochs=2, batch_size=100, start="same") for _ in range(2))
    method = Ist(learning_rate=0.05, weight_decay=0.01, decay=0.7, local_steps=local_steps)
    method.learn(agents, InProcess(numpy.eye(1)), 1)
    network, length = same.models[0].train(), same.steps_per_epoch
    for number, sample in zip(range(2 * length), same.samples(0, 1), strict=False):
        gradients = torch.autograd.grad(same.task.loss(network, sample), list(network.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                rate = 0.05 * 0.7 ** (number // length)
                parameter.copy_(parameter - rate * (gradient + 0.01 * parameter))
    states = agents.models[0].state_dict(), network.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])
    assert agents.steps_taken == [2 * length]


# Slices.


def smaller(network, widths, kept):
    """The network of the ``kept`` channels of each convolution, and nothing else."""
    found = PlainNetwork(1, widths, 10).double()
    state = found.state_dict()
    before = torch.arange(1)
    for layer, channels in enumerate(kept):
        convolution, normalization = network.features[3 * layer], network.features[3 * layer + 1]
        state[f"features.{3 * layer}.weight"] = convolution.weight[channels][:, before]
        for name in ("weight", "bias"):
            state[f"features.{3 * layer + 1}.{name}"] = getattr(normalization, name)[channels]
        before = channels
    state["classifier.weight"], state["classifier.bias"] = (
        network.classifier.weight[:, before],
        network.classifier.bias,
    )
    found.load_state_dict(state)
    return found.train()


@pytest.fixture
def sliced(make_agents, randomize):
    """Agents of a plain network in double precision, a deal among them, and a batch."""
    agents = make_agents(agents=3, model=Plain(widths=(4, 7, 6)), batch_size=40)
    assert agents.units  # tracing is done in single precision
    for seed, model in enumerate(agents.models):
        randomize(model, seed).double()
    agents.task.loss = lambda network, sample: torch.nn.functional.cross_entropy(
        network(sample.images.double()), sample.labels
    )
    return agents, drawn(agents, Complete().mixing_matrix(3)), next(agents.samples(0, 1))


def channels_of(deal, place):
    """The kept channels of each group at a place."""
    return [
        torch.from_numpy(numpy.sort(numpy.array_split(order, place.members)[place.before]))
        for order in deal.orders.values()
    ]


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_slice_has_the_gradient_of_the_network_that_is_really_smaller(sliced, before):
    agents, deal, sample = sliced
    place = Place(before, 3)
    point = deal.mask(place) * agents.parameters[0]
    found = deal.mask(place) * agents.gradient(0, sample, point, own=False)
    kept = channels_of(deal, place)
    network = smaller(agents.models[0], [len(each) for each in kept], kept)
    loss = agents.task.loss(network, sample)
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    expected = torch.cat([gradient.flatten() for gradient in gradients])
    entries = deal.entries(place).sort().values
    assert len(entries) == len(expected) < len(point) / 2
    torch.testing.assert_close(found[entries], expected, rtol=1e-9, atol=1e-12)
    assert found.count_nonzero() <= len(entries)


@pytest.mark.parametrize("before", [0, 1, 2])
def test_absent_channels_put_out_nothing_at_all(sliced, before):
    agents, deal, sample = sliced
    place = Place(before, 3)
    agents.parameters = (deal.mask(place) * agents.parameters[0]).expand(3, -1)
    seen = []
    network = agents.models[0].train()
    for module in network.features:
        module.register_forward_hook(lambda module, given, output: seen.append(output.detach()))
    agents.task.loss(network, sample)
    for layer, kept in enumerate(channels_of(deal, place)):
        for output in seen[
            3 * layer : 3 * layer + 3
        ]:  # of the convolution, the normalization, the activation
            absent = torch.ones(output.shape[1], dtype=torch.bool)
            absent[kept] = False
            assert absent.any() and output[:, absent].count_nonzero() == 0
            assert all(output[:, channel].count_nonzero() for channel in kept)


def test_slices_leave_no_trace_in_running_statistics(make_agents):
    agents = make_agents(agents=3, model=Plain(widths=(4, 5)), batch_size=40)
    before = [buffer.clone() for model in agents.models for buffer in model.buffers()]
    Ist().learn(agents, InProcess(Ring().mixing_matrix(3)), 1)
    after = [buffer for model in agents.models for buffer in model.buffers()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("model", [Plain(widths=(5, 6)), ResNet20(width=3)], ids=["plain", "resnet20"])
def test_what_is_left_of_a_slice_is_where_all_its_channels_are(model):
    network = model.build(1, 10)
    groups = permutation_groups(network, (1, 8, 8))
    shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
    kept = {group.name: torch.arange(0, group.size, 2) for group in groups}
    found = inside(shapes, groups, kept)
    generator = numpy.random.default_rng(0)
    for name, tensor in found.items():
        axes = [
            (member.axis, set(kept[group.name].tolist()))
            for group in groups
            for member in group.members
            if member.name == name and member.block == 1
        ]
        for place in generator.integers(tensor.numel(), size=100):
            index = numpy.unravel_index(place, tensor.shape)
            assert bool(tensor[index]) == all(index[axis] in channels for axis, channels in axes)


# The deal.


GRAPHS = (Ring(), Complete(), Star(), Chain(), DirectedRing())


@given(some.sampled_from(GRAPHS), some.integers(2, 6), some.integers(6, 20), some.integers(0, 2**31))
def test_every_owner_deals_out_all_of_its_units_in_equal_parts(graph, agents, size, seed):
    matrix = graph.mixing_matrix(agents)
    task = Quadratics(agents=agents, size=size)
    deal = drawn(task, matrix, seed)
    for owner in range(agents):
        members = [owner, *InProcess(matrix).senders(owner)]
        places = [deal.place(agent, owner) for agent in members]
        assert sorted(place.before for place in places) == list(range(len(members)))
        blocks = [deal.entries(place).tolist() for place in places]
        assert sorted(chain.from_iterable(blocks)) == list(range(size))
        assert max(map(len, blocks)) - min(map(len, blocks)) <= 1


def test_units_are_dealt_to_everyone_equally_often():
    agents, matrix = Quadratics(agents=4, size=6), Complete().mixing_matrix(4)
    counts = numpy.zeros((4, 6))
    generator, communicator = numpy.random.default_rng(0), InProcess(matrix)
    deals = 2000
    for _ in range(deals):
        deal = Deal(agents, communicator, generator)
        for agent in range(4):
            counts[agent, deal.entries(deal.place(agent, 0))] += 1
    assert abs(counts - deals / 4).max() < 4.5 * (deals * 3 / 16) ** 0.5


# The exchange.


def reference(agents, matrix, rate, local_steps, rounds, seed_of):
    """IST by loops over agents, owners and coordinates, for tasks of vectors."""
    x, (n, d) = agents.parameters, agents.parameters.shape
    near = [[j for j in range(n) if matrix[i, j] > 0] for i in range(n)]
    noises = agents.noises(rounds)
    for round in range(rounds):
        generator = seed_of(round + 1)
        for first in range(0, STEPS, local_steps):
            rank, order = generator.permutation(n).tolist(), generator.permutation(d)
            new = x.clone()
            for owner in range(n):
                members = sorted(near[owner], key=rank.__getitem__)
                for agent, block in zip(members, numpy.array_split(order, len(members)), strict=True):
                    point = torch.zeros(d, dtype=torch.float64)
                    point[block] = x[agent, block]
                    for k in range(first, min(first + local_steps, STEPS)):
                        gradient = agents.curvature[agent] @ (point - agents.center[agent])
                        gradient += noises[round * STEPS + k, agent]
                        point[block] -= rate * gradient[block]
                    new[owner, block] = point[block]
            x = new
    return x


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
@pytest.mark.parametrize("local_steps", [1, 4, 50])
def test_iterates_are_those_of_loops(graph, local_steps):
    matrix = graph.mixing_matrix(5)
    agents = Quadratics(size=7, noise=0.3)
    seeds = agents.randomness
    expected = reference(
        agents, matrix, RATE, local_steps, 2, lambda round: seeds.numpy("deals", round=round)
    )
    communicator = iterates(Ist(learning_rate=RATE, local_steps=local_steps), agents, matrix)
    torch.testing.assert_close(agents.parameters, expected, rtol=0, atol=1e-12)
    exchanges = 2 * -(-STEPS // local_steps)
    assert communicator.time == exchanges
    assert sum(communicator.messages_sent.values()) == exchanges * ((matrix > 0).sum() - 5)
    assert agents.steps_taken == [2 * STEPS] * 5


def test_taking_over_what_others_have_brings_all_together():
    agents = Quadratics(size=7)
    iterates(Ist(learning_rate=1e-14, local_steps=1), agents, RING, rounds=20)
    assert agents.parameters.std(0).max() < 1e-10


def test_on_a_complete_graph_all_hold_one_network_and_send_slices(make_agents):
    agents = make_agents(agents=4, model=Plain(widths=(4, 9)), batch_size=40, start="same")
    communicator = InProcess(Complete().mixing_matrix(4))
    method = Ist(learning_rate=0.1, local_steps=2)
    for round in (1, 2):
        before = agents.parameters
        method.learn(agents, communicator, round)
        x = agents.parameters
        assert all(torch.equal(x[0], row) for row in x)
        moved = (x != before)[0].double().mean()
        assert 0.4 < moved < 1  # weights between blocks wait for another deal
    exchanges = communicator.time
    assert exchanges == 2 * -(-agents.epochs * agents.steps_per_epoch // 2)
    # Of 9 first channels' weights, 4 x 9 x 9 second ones and 10 x 9 last ones; three are sent 4-fold, with 10
    # biases of the last layer.
    sizes = [1 * 9 + 2 * 1 + 9 * own + 2 * own + 10 * own + 10 for own in (3, 2, 2, 2)]
    assert sum(communicator.bytes_sent.values()) == exchanges * 3 * 4 * sum(sizes)
    assert set(kind for _, kind in communicator.bytes_sent) == {"models"}


def test_what_belongs_to_no_channel_is_averaged(make_agents):
    agents = make_agents(agents=4, model=Plain(widths=(4, 5)), batch_size=40, start="same")
    matrix = Star().mixing_matrix(4)
    communicator = InProcess(matrix)
    deal = Deal(agents, communicator, agents.randomness.numpy("deals", round=1))
    x = agents.parameters
    x[:, -10:] = torch.arange(4.0)[:, None]
    agents.parameters = x
    Ist(learning_rate=1e-9, local_steps=100).learn(agents, communicator, 1)
    expected = torch.from_numpy(matrix).float() @ torch.arange(4.0)
    torch.testing.assert_close(
        agents.parameters[:, -10:], expected[:, None].expand(-1, 10), rtol=0, atol=1e-6
    )
    assert deal.shared == 10


def test_links_that_fail_leave_smaller_neighbourhoods():
    graph = Complete(link_failures=0.6)
    agents = Quadratics(size=8)
    matrices = [graph.mixing_at(5, time, agents.randomness) for time in range(2)]
    communicator = InProcess(lambda time: graph.mixing_at(5, time, agents.randomness))
    Ist(learning_rate=RATE, local_steps=3).learn(agents, communicator, 1)
    assert sum(communicator.messages_sent.values()) == sum(int((matrix > 0).sum()) - 5 for matrix in matrices)


# What is refused.


def config(**changes):
    model = {"name": "plain", "widths": [16, 3, 8]}
    return {
        "name": "small", "data": "digits", "model": model, "partition": "iid", "graph": "complete",
        "agents": 4, "method": "ist",
    } | changes  # fmt: skip


def test_more_agents_than_channels_are_refused_when_the_configuration_is_read(dimat, write_config):
    done = dimat("ids", write_config(config()))
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "agents: 4 in a neighbourhood are too many to deal out 3 hidden channels" in done.stderr
    for possible in ({"graph": "ring"}, {"agents": 3}, {"model": "plain"}, {"agents": 1}, {"method": "wa"}):
        parse_study(config(**possible), "study")
    with pytest.raises(InputError, match="3 hidden channels"):
        parse_study(config(graph={"name": "sequence", "graphs": ["ring", "star"]}), "study")
    parse_study(config(graph="one_peer_exponential"), "study")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"calibration": {"repair": "none"}}, "calibration.repair: 'none'.*expected 'recalibrate'"),
        ({"calibration": {"repair": "repair"}}, "calibration.repair: 'repair'"),
        ({"method": {"name": "ist", "normalization": "frozen"}}, "normalization: 'frozen'"),
        ({"method": {"name": "ist", "local_steps": 0}}, "local_steps: 0"),
    ],
)
def test_options_that_do_not_suit_slices_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        parse_study(config(model="plain", **changes), "study")


def test_vectors_with_fewer_coordinates_than_agents_are_refused():
    agents = Quadratics(agents=5, size=4)
    assert isinstance(agents, Vectors)
    with pytest.raises(InputError, match=r"agents: 5 in a neighbourhood are too many to deal out 4"):
        iterates(Ist(), agents, Complete().mixing_matrix(5))
