"""Dif-MAML: its gradient against automatic and numeric differentiation, and its limits in closed form."""

import numpy
import pytest
import torch
from support.quadratics import Quadratics, iterates, mixing
from torch import nn
from torch.func import functional_call

from dimat.agents.networks import Networks
from dimat.agents.training import Training
from dimat.errors import InputError
from dimat.methods.dif_maml import DifMaml, equal_weights
from dimat.methods.dpsgd import Dpsgd
from dimat.randomness import Randomness
from dimat.tasks.network_task import NetworkTask
from dimat.tasks.task import Metric
from dimat.topology import EdgeList, second_eigenvalue

PUBLISHED = EdgeList(edge_list=((0, 2), (1, 2), (2, 3), (2, 4), (3, 4), (4, 5)))
AGENTS = 6
METROPOLIS = PUBLISHED.mixing_matrix(AGENTS)
INNER = 0.2
PAIR = EdgeList(edge_list=((0, 1),)).mixing_matrix(2)


# The gradient.


class Perceptron(nn.Module):
    """One hidden layer of six neurons, in float64."""

    def __init__(self, seed, hidden):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(nn.Linear(1, 6), hidden, nn.Linear(6, 1)).double()

    def forward(self, x):
        return self.layers(x)


class Curves(NetworkTask):
    """Regression: a sample has two episodes, of eight points to adapt to, and eight to be judged by."""

    metric = Metric("loss", "loss", better="lower")
    device = torch.device("cpu")
    agents = 2
    steps_per_epoch = 3

    def __init__(self, hidden):
        self.hidden = hidden
        self.generator = torch.Generator().manual_seed(3)

    def variables(self, agent):
        return Perceptron(agent, self.hidden())

    def loss(self, network, sample):
        return (network(sample[0]) - sample[1]).square().mean()

    def episodes(self, sample):
        return [(support, query) for support, query in sample]

    def points(self):
        x = torch.randn(8, 1, generator=self.generator, dtype=torch.float64)
        return x, torch.sin(2 * x)

    def sample(self):
        return [(self.points(), self.points()) for _ in range(2)]

    def evaluate(self, agent, network):
        network.eval()
        return {"loss": 0.0}

    def epoch(self, agent, phase, round, epoch):
        return [self.sample() for _ in range(3)]

    def epoch_length(self, agent, phase):
        return 3


def curves(hidden=nn.Tanh):
    task = Curves(hidden)
    return Networks(task, Training(epochs=1), Randomness("curves", 0)), task.sample()


def after_adaptation(agents, sample, row, rate):
    """MAML's objective of a sample as a function of the parameters, by itself."""
    network = agents.models[row]
    shapes = {name: parameter.shape for name, parameter in network.named_parameters()}

    def loss(point, points):
        parts = point.split([shape.numel() for shape in shapes.values()])
        state = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return (functional_call(network, state, (points[0],)) - points[1]).square().mean()

    def objective(point):
        moved = [point - rate * torch.func.grad(loss)(point, support) for support, _ in sample]
        return sum(loss(at, query) for at, (_, query) in zip(moved, sample, strict=True)) / len(sample)

    return objective


@pytest.mark.parametrize("hidden", [nn.Tanh, nn.ReLU])
def test_it_is_the_derivative_of_the_loss_after_adaptation(hidden):
    agents, sample = curves(hidden)
    point = agents.parameters[1]
    objective = after_adaptation(agents, sample, 1, INNER)
    found = agents.meta_gradient(1, sample, point, INNER)
    torch.testing.assert_close(found, torch.func.grad(objective)(point), rtol=0, atol=1e-12)
    assert torch.equal(point, agents.parameters[1]) and not point.requires_grad and not found.requires_grad


def test_it_is_that_of_central_differences():
    agents, sample = curves()
    point = agents.parameters[0]
    objective = after_adaptation(agents, sample, 0, INNER)
    size = 1e-5
    sides = [(point + size * axis, point - size * axis) for axis in torch.eye(len(point), dtype=point.dtype)]
    differences = torch.stack([(objective(up) - objective(down)) / (2 * size) for up, down in sides])
    found = agents.meta_gradient(0, sample, point, INNER)
    torch.testing.assert_close(found, differences, rtol=0, atol=1e-8)


def test_in_first_order_it_is_another():
    agents, sample = curves()
    point = agents.parameters[0]
    second = agents.meta_gradient(0, sample, point, INNER)
    first = agents.meta_gradient(0, sample, point, INNER, first_order=True)
    moved = [point - INNER * agents.gradient(0, support, point) for support, _ in sample]
    queries = [agents.gradient(0, query, at) for at, (_, query) in zip(moved, sample, strict=True)]
    torch.testing.assert_close(first, torch.stack(queries).mean(0), rtol=0, atol=1e-15)
    assert 0.02 < (first - second).norm() / second.norm() < 1


def test_without_adaptation_it_is_the_gradient_of_queries():
    agents, sample = curves()
    point = agents.parameters[0]
    queries = torch.stack([agents.gradient(0, query, point) for _, query in sample]).mean(0)
    for first_order in (False, True):
        found = agents.meta_gradient(0, sample, point, 0.0, first_order=first_order)
        torch.testing.assert_close(found, queries, rtol=0, atol=1e-15)


def test_running_statistics_follow_the_support_alone(make_agents):
    agents, other = make_agents(agents=2), make_agents(agents=2)
    sample = next(agents.samples(0, 1))
    ((support, query),) = agents.task.episodes(sample)
    assert len(support.labels) + len(query.labels) == len(sample.labels)
    found = agents.meta_gradient(0, sample, agents.parameters[0], INNER)
    other.gradient(0, support, other.parameters[0])
    before = make_agents(agents=2).models[0].state_dict()
    for name, tensor in agents.models[0].state_dict().items():
        torch.testing.assert_close(tensor, other.models[0].state_dict()[name])
        assert name.endswith(("running_mean", "running_var", "num_batches_tracked")) != torch.equal(
            tensor, before[name]
        )
    assert (
        torch.isfinite(found).all()
        and (found - agents.meta_gradient(0, sample, agents.parameters[0], 0)).any()
    )


def test_halves_of_few_images_are_the_whole(make_agents):
    agents = make_agents(agents=2)
    sample = next(agents.samples(0, 1))
    few = type(sample)(*(part[:3] for part in sample))
    assert agents.task.episodes(few) == [(few, few)]


def test_variables_that_ascend_do_not_adapt(monkeypatch):
    agents, sample = curves()
    monkeypatch.setattr(Curves, "ascending", frozenset({"layers.0.weight"}))
    with pytest.raises(InputError, match="Curves has variables that ascend; expected none to adapt"):
        agents.meta_gradient(0, sample, agents.parameters[0], INNER)


# Its way on quadratics, where everything is known.


def quadratics(noise=0.0, seed=0):
    return Quadratics(agents=AGENTS, noise=noise, seed=seed)


def objective_of(agents):
    """Curvatures B (N, d, d) of J_i(w) = (w - c_i)' B_i (w - c_i) / 2: B = (I - a A) A (I - a A)."""
    adapted = torch.eye(agents.curvature.shape[1], dtype=torch.float64) - INNER * agents.curvature
    return adapted @ agents.curvature @ adapted


def weighted_optimum(agents, weights):
    """Where sum_i weights_i B_i (w - c_i) vanishes."""
    curvature = weights[:, None, None] * objective_of(agents)
    return torch.linalg.solve(curvature.sum(0), torch.einsum("iab,ib->a", curvature, agents.center))


def at_rest(rate, matrix):
    """Agents where x = W (x - rate B (x - c)), from which a round of Dif-MAML with SGD does not move them."""
    agents = quadratics()
    curvature, size = objective_of(agents), agents.curvature.shape[1]
    spread = torch.kron(mixing(matrix), torch.eye(size, dtype=torch.float64))
    blocks = rate * torch.block_diag(*curvature)
    system = torch.eye(len(blocks), dtype=torch.float64) - spread @ (torch.eye(len(blocks)) - blocks)
    solved = torch.linalg.solve(system, spread @ blocks @ agents.center.flatten())
    agents.parameters = solved.view(AGENTS, size)
    return agents


def assert_stays(agents, rate, matrix, **options):
    before = agents.parameters
    method = DifMaml(outer="sgd", learning_rate=rate, inner_rate=INNER, **options)
    iterates(method, agents, matrix, rounds=1)
    torch.testing.assert_close(agents.parameters, before, rtol=0, atol=1e-12)


def test_on_quadratics_it_is_b_times_the_distance():
    agents = quadratics()
    x = agents.parameters
    zero = torch.zeros_like(x[0])
    found = torch.stack([agents.meta_gradient(row, zero, x[row], INNER) for row in range(AGENTS)])
    torch.testing.assert_close(found, torch.einsum("iab,ib->ia", objective_of(agents), x - agents.center))


@pytest.mark.parametrize("combination", ["mixing", "mean"])
def test_with_sgd_iterates_are_those_of_the_recursion(combination):
    agents = quadratics(noise=0.3)
    method = DifMaml(outer="sgd", learning_rate=0.1, inner_rate=INNER, combination=combination)
    x, curvature = agents.parameters, agents.curvature
    pull = torch.eye(x.shape[1], dtype=x.dtype) - INNER * curvature
    matrix = mixing(METROPOLIS if combination == "mixing" else equal_weights(METROPOLIS))
    for noise in agents.noises(2):  # one draw is the noise of support and query
        support = agents.all_gradients(x) + noise
        query = agents.all_gradients(x - INNER * support) + noise
        x = matrix @ (x - 0.1 * torch.einsum("iab,ib->ia", pull, query))
    iterates(method, agents, METROPOLIS)
    torch.testing.assert_close(agents.parameters, x, rtol=0, atol=1e-12)


def test_with_adam_each_agent_steps_as_torchs_does():
    agents = quadratics(noise=0.3)
    x = agents.parameters
    parameters = [row.clone().requires_grad_() for row in x]
    adams = [torch.optim.Adam([parameter], lr=0.05, weight_decay=0.1) for parameter in parameters]
    other = quadratics(noise=0.3)
    method = DifMaml(learning_rate=0.05, inner_rate=INNER, weight_decay=0.1)
    for step in other.steps(1):
        points = torch.stack([parameter.detach() for parameter in parameters])
        gradients = step.meta_gradients(points, INNER)
        for parameter, adam, gradient in zip(parameters, adams, gradients, strict=True):
            parameter.grad = gradient.clone()
            adam.step()
        with torch.no_grad():
            mixed = mixing(METROPOLIS) @ torch.stack(list(parameters))
            for parameter, row in zip(parameters, mixed, strict=True):
                parameter.copy_(row)
    iterates(method, agents, METROPOLIS, rounds=1)
    torch.testing.assert_close(
        agents.parameters, torch.stack([p.detach() for p in parameters]), atol=1e-12, rtol=0
    )


def test_it_gets_to_where_it_rests():
    agents, there = quadratics(), at_rest(0.3, METROPOLIS).parameters
    iterates(DifMaml(outer="sgd", learning_rate=0.3, inner_rate=INNER), agents, METROPOLIS, rounds=40)
    assert (agents.parameters - there).norm() < 1e-3 * (quadratics().parameters - there).norm()


def test_halving_the_rate_halves_the_distance_of_the_centroid():
    """Of the optimum of the aggregate objective, which is not that of the losses before adaptation."""
    errors = []
    for rate in (0.02, 0.01, 0.005):
        agents = at_rest(rate, METROPOLIS)
        optimum = weighted_optimum(agents, torch.ones(AGENTS))
        errors.append(float((agents.parameters.mean(0) - optimum).norm()))
        assert_stays(agents, rate, METROPOLIS)
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.05)
    plain = torch.linalg.solve(
        agents.curvature.sum(0), torch.einsum("iab,ib->a", agents.curvature, agents.center)
    )
    assert (plain - optimum).norm() > 10 * errors[-1]


def test_with_published_weights_the_limit_weighs_agents_by_their_neighbours():
    """Each by the size of its closed neighbourhood: another optimum, however small the rate."""
    published = equal_weights(METROPOLIS)
    sizes = torch.from_numpy((METROPOLIS > 0).sum(1)).double()
    errors = []
    for rate in (0.01, 0.005):
        agents = at_rest(rate, published)
        mean = (sizes[:, None] * agents.parameters).sum(0) / sizes.sum()
        errors.append(float((mean - weighted_optimum(agents, sizes)).norm()))
        assert_stays(agents, rate, METROPOLIS, combination="mean")
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)
    assert (mean - weighted_optimum(agents, torch.ones(AGENTS))).norm() > 10 * errors[1]


def test_equal_weights_are_those_of_the_published_code():
    matrix = equal_weights(METROPOLIS)
    assert numpy.allclose(matrix.sum(1), 1)
    assert matrix.sum(0) == pytest.approx([0.7, 0.7, 1.7833, 0.7833, 1.2833, 0.75], abs=1e-4)
    assert equal_weights(numpy.eye(3)) == pytest.approx(numpy.eye(3))


@pytest.mark.parametrize("rate", [0.1, 0.025])
def test_at_rest_disagreement_is_below_its_bound(rate):
    agents = at_rest(rate, METROPOLIS)
    x = agents.parameters
    gradients = torch.einsum("iab,ib->ia", objective_of(agents), x - agents.center)
    root = second_eigenvalue(METROPOLIS)
    apart, limit = ((each - each.mean(0)).norm() for each in (x, rate * root / (1 - root) * gradients))
    assert 0.2 * limit < apart <= limit


def test_on_a_complete_graph_it_rests_at_the_optimum():
    matrix = numpy.full((AGENTS, AGENTS), 1 / AGENTS)
    agents = at_rest(0.1, matrix)
    assert_stays(agents, 0.1, matrix)
    optimum = weighted_optimum(agents, torch.ones(AGENTS))
    torch.testing.assert_close(agents.parameters, optimum.expand(AGENTS, -1), rtol=0, atol=1e-9)


def test_alone_each_rests_at_its_own():
    agents = quadratics()
    agents.parameters = agents.center
    assert_stays(agents, 0.1, numpy.eye(AGENTS), cooperative=False)


def test_without_adaptation_it_is_d_psgd():
    one, other = quadratics(noise=0.2), quadratics(noise=0.2)
    sent = iterates(DifMaml(outer="sgd", learning_rate=0.1, inner_rate=0.0), one, METROPOLIS)
    same = iterates(Dpsgd(learning_rate=0.1), other, METROPOLIS)
    torch.testing.assert_close(one.parameters, other.parameters, rtol=0, atol=1e-14)
    assert sent.bytes_sent == same.bytes_sent and sent.messages_sent == same.messages_sent


def test_alone_nothing_is_sent():
    communicator = iterates(DifMaml(cooperative=False), quadratics(), numpy.eye(AGENTS))
    assert not communicator.bytes_sent


def test_networks_and_vectors_take_the_same_way():
    """A loss that is quadratic in the parameters, as a network and in closed form."""

    class Line(nn.Module):
        def __init__(self, start):
            super().__init__()
            self.x = nn.Parameter(start.clone())

        def forward(self):
            return self.x

    vectors = Quadratics(agents=2, noise=0.3)
    closed = vectors.task

    class Lines(Curves):
        steps_per_epoch = vectors.steps_per_epoch

        def variables(self, agent):
            return Line(closed.start[agent])

        def loss(self, network, sample):
            agent, noise = sample
            off = network() - closed.center[agent]
            return off @ closed.curvature[agent] @ off / 2 + noise @ network()

        def episodes(self, sample):
            return [(sample, sample)]

        def samples(self, agent, round):
            return ((agent, noise) for noise in closed.samples(agent, round))

    networks = Networks(Lines(nn.Tanh), Training(epochs=2), Randomness("lines", 0))
    method = DifMaml(inner_rate=INNER, learning_rate=0.05)
    for agents in (vectors, networks):
        iterates(method, agents, PAIR)
    torch.testing.assert_close(networks.parameters, vectors.parameters, rtol=0, atol=1e-12)
