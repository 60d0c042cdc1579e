"""Tasks that are not image classification: min-max problems, and networks that cannot be traced."""

from itertools import repeat

import pytest
import torch
from torch import nn
from torch.nn import functional

from dimat.agents.networks import Networks
from dimat.agents.optimizers import Adam, Momentum, Sgd
from dimat.agents.training import Training
from dimat.agents.vectors import Vectors
from dimat.communication.in_process import InProcess
from dimat.errors import InputError
from dimat.experiment.measure import measure
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching
from dimat.merging.options import Merging
from dimat.methods.dimat import Dimat
from dimat.methods.dpsgd import Dpsgd
from dimat.methods.gradient_tracking import GradientTracking
from dimat.methods.local import Local
from dimat.methods.weight_averaging import WeightAveraging
from dimat.randomness import Randomness
from dimat.tasks.network_task import NetworkTask
from dimat.tasks.task import Metric
from dimat.tasks.vector_task import VectorTask
from dimat.topology import Ring

AGENTS, X, Y = 4, 3, 2
STEPS = 20
DISTANCE = Metric("distance", "distance to the saddle point", better="lower")


class Game:
    """f_i(x, y) = |x - a_i|^2 / 2 + x^T B_i y - |y - c_i|^2 / 2, to be minimized in x and maximized in y."""

    def __init__(self, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.a, self.b, self.c, self.start = (
            torch.randn(AGENTS, *shape, generator=generator, dtype=torch.float64)
            for shape in ((X,), (X, Y), (Y,), (X + Y,))
        )

    def value(self, agent, x, y):
        return (
            (x - self.a[agent]).square().sum() / 2
            + x @ self.b[agent] @ y
            - (y - self.c[agent]).square().sum() / 2
        )

    def saddle(self, agents=range(AGENTS)):
        """Where x - a + B y and B^T x - y + c vanish, for the mean over agents."""
        a, b, c = (part[list(agents)].mean(0) for part in (self.a, self.b, self.c))
        matrix = torch.cat([torch.cat([torch.eye(X), b], 1), torch.cat([b.T, -torch.eye(Y)], 1)]).double()
        return torch.linalg.solve(matrix, torch.cat([a, -c]))


class Point(nn.Module):
    """The variables of an agent."""

    def __init__(self, start):
        super().__init__()
        self.x, self.y = nn.Parameter(start[:X].clone()), nn.Parameter(start[X:].clone())

    def forward(self):
        return self.x, self.y


class GameOfNetworks(NetworkTask):
    """The game, as a task of networks; a sample is the number of the agent."""

    metric = DISTANCE
    ascending = frozenset({"y"})
    device = torch.device("cpu")
    agents = AGENTS
    steps_per_epoch = STEPS

    def __init__(self, game):
        self.game = game

    def variables(self, agent):
        return Point(self.game.start[agent])

    def loss(self, network, sample):
        return self.game.value(sample, *network())

    def evaluate(self, agent, network):
        network.eval()
        return {"distance": float((torch.cat(network()).detach() - self.game.saddle()).norm())}

    def epoch(self, agent, phase, round, epoch):
        return repeat(agent, STEPS)

    def epoch_length(self, agent, phase):
        return STEPS


class GameOfVectors(VectorTask):
    """The same in closed form."""

    metric = DISTANCE
    ascending = frozenset({"y"})
    agents = AGENTS

    def __init__(self, game):
        self.game, self.start = game, game.start

    @property
    def blocks(self):
        return {"x": X, "y": Y}

    def samples(self, agent, round):
        return repeat(agent)

    def gradient(self, agent, point, sample):
        x, y = point[:X], point[X:]
        a, b, c = (part[agent] for part in (self.game.a, self.game.b, self.game.c))
        return torch.cat([x - a + b @ y, b.T @ x - y + c])

    def evaluate(self, agent, point):
        return {"distance": float((point - self.game.saddle()).norm())}


RANDOMNESS = Randomness("game", 0)


def networks(game, **training):
    return Networks(GameOfNetworks(game), Training(**training), RANDOMNESS)


def vectors(game):
    """Takes the same way as networks, see below, in a fraction of the time."""
    return Vectors(GameOfVectors(game), RANDOMNESS, steps_per_epoch=STEPS)


def run(method, agents, merging=Merging(), rounds=20):  # noqa: B008
    communicator = InProcess(Ring().mixing_matrix(AGENTS))
    for _ in method.rounds(agents, communicator, merging, 1, rounds):
        pass
    return communicator


def test_dpsgd_finds_the_saddle_point_of_the_mean():
    game = Game()
    agents = vectors(game)
    before = [agents.evaluate(row)["distance"] for row in range(AGENTS)]
    for rounds, rate in ((40, 0.05), (40, 0.01), (60, 0.002)):
        run(Dpsgd(learning_rate=rate), agents, rounds=rounds)
    after = [agents.evaluate(row)["distance"] for row in range(AGENTS)]
    assert min(before) > 0.5
    assert max(after) < 0.02  # a constant step leaves gossip off by about as much
    assert DISTANCE.gain(after[0]) > DISTANCE.gain(before[0])


def test_gradient_tracking_finds_it_exactly():
    game = Game()
    agents = vectors(game)
    run(GradientTracking(learning_rate=0.05), agents, rounds=120)
    torch.testing.assert_close(agents.parameters, game.saddle().expand(AGENTS, -1), rtol=0, atol=1e-8)


def test_descending_in_both_finds_nothing(monkeypatch):
    """So it is the declaration that makes the difference."""
    game = Game()
    monkeypatch.setattr(GameOfNetworks, "ascending", frozenset())
    agents = networks(game, epochs=1)
    run(Dpsgd(learning_rate=0.05), agents, rounds=5)
    assert min(agents.evaluate(row)["distance"] for row in range(AGENTS)) > 10


@pytest.mark.parametrize(
    "method",
    [Local(optimizer=Sgd(learning_rate=0.05)), Local(optimizer=Momentum(learning_rate=0.02, momentum=0.5))],
    ids=["sgd", "momentum"],
)
def test_optimizers_of_local_training_ascend_too(method):
    """Without communication every agent finds the saddle point of its own game."""
    game = Game()
    agents = Networks(
        GameOfNetworks(game),
        Training(epochs=3, optimizer_state="kept"),
        RANDOMNESS,
        method.optimizer,
    )
    run(method, agents, rounds=7)
    for agent in range(AGENTS):
        torch.testing.assert_close(agents.parameters[agent], game.saddle([agent]), rtol=0, atol=1e-3)


def test_averaging_runs_on_it():
    game = Game()
    agents = networks(game, epochs=1, optimizer=Sgd(learning_rate=0.01))
    x = agents.parameters
    pi = torch.from_numpy(Ring().mixing_matrix(AGENTS))
    task = GameOfVectors(game)
    signs = torch.tensor([1.0] * X + [-1.0] * Y)
    for _ in range(2):
        x = pi @ x
        for _ in range(STEPS):
            x = x - 0.01 * torch.stack([task.gradient(i, x[i], i) for i in range(AGENTS)]) * signs
    communicator = run(WeightAveraging(), agents, rounds=3)
    torch.testing.assert_close(agents.parameters, pi @ x, rtol=0, atol=1e-12)
    assert communicator.bytes_sent[0, "models"] == 3 * 2 * 8 * (X + Y)


def test_of_what_a_study_may_ask_for_it_has_the_mean_of_all_networks():
    game = Game()
    agents, communicator = networks(game), InProcess(Ring().mixing_matrix(AGENTS))
    for asked, said in (("training_loss", "no training images"), ("parts", "no test images in parts")):
        with pytest.raises(
            InputError, match=f"^measures: GameOfNetworks has {said}; expected measures without"
        ):
            measure(agents, communicator, 0, "start", (), {asked})
    rows = measure(agents, communicator, 0, "start", (), {"mean_model"})
    (mean,) = (row.value for row in rows if row.metric == "mean_model_distance")
    assert mean == pytest.approx(float((game.start.mean(0) - game.saddle()).norm()), rel=1e-5)


def test_it_has_no_images_to_match_by():
    agents = networks(Game())
    with pytest.raises(InputError, match="GameOfNetworks has no images"):
        run(Dimat(), agents, Merging(Matching(), Calibration(repair="none")), rounds=1)
    with pytest.raises(InputError, match="GameOfNetworks has no images"):
        run(WeightAveraging(), agents, Merging(None, Calibration()), rounds=1)


@pytest.mark.parametrize(
    "method", [Dpsgd(learning_rate=0.05, momentum=0.5), GradientTracking(learning_rate=0.05)]
)
def test_networks_and_vectors_take_the_same_way(method):
    game = Game()
    one = networks(game, epochs=1)
    other = vectors(game)
    sent = [run(method, agents, rounds=3).bytes_sent for agents in (one, other)]
    torch.testing.assert_close(one.parameters, other.parameters, rtol=0, atol=1e-12)
    assert (one.parameters - game.start).abs().max() > 0.1
    assert sent[0] == sent[1]
    assert one.steps_taken == other.steps_taken == [2 * STEPS] * AGENTS
    assert one.evaluate(1) == pytest.approx(other.evaluate(1))


def test_vectors_have_no_neurons():
    agents = vectors(Game())
    with pytest.raises(InputError, match="no neurons to match; expected matching: null"):
        _ = agents.symmetry
    with pytest.raises(InputError, match="local trains networks"):
        run(Local(), agents, rounds=1)


# Networks that cannot be traced.


class Choosy(nn.Module):
    """Goes one way or the other, as its input says."""

    def __init__(self, seed):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.light, self.dark, self.last = nn.Linear(64, 8), nn.Linear(64, 8), nn.Linear(8, 10)

    def forward(self, images):
        flat = images.flatten(1)
        hidden = self.light(flat) if flat.mean() > 0 else self.dark(flat)
        return self.last(hidden.relu())


class ChoosyTask(NetworkTask):
    """Choosy networks on the digits."""

    metric = Metric("accuracy", "accuracy")
    device = torch.device("cpu")
    agents = AGENTS
    steps_per_epoch = 10
    input_shape = (1, 8, 8)

    def __init__(self, digits):
        self.images, self.labels = digits.normalized(digits.train_images), digits.train_labels

    def variables(self, agent):
        return Choosy(agent)

    def loss(self, network, sample):
        return functional.cross_entropy(network(self.images[sample]), self.labels[sample])

    def evaluate(self, agent, network):
        with torch.no_grad():
            right = network.eval()(self.images).argmax(1) == self.labels
        return {"accuracy": float(right.double().mean())}

    def epoch(self, agent, phase, round, epoch):
        generator = RANDOMNESS.torch(f"{phase} {epoch}", agent=agent, round=round)
        return torch.randperm(len(self.labels), generator=generator)[:1000].split(100)

    def epoch_length(self, agent, phase):
        return 10

    def inputs(self, holders, limit, augmented, generator, batch_size=None):
        return lambda: iter(self.images[:200].split(100))

    def held_bytes(self, agent):
        return 0


@pytest.mark.parametrize(
    ("method", "merging"),
    [
        (Local(), Merging()),
        (WeightAveraging(), Merging()),
        (WeightAveraging(), Merging(None, Calibration(repair="recalibrate"))),
        (Dpsgd(learning_rate=0.3), Merging()),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_networks_that_cannot_be_traced_learn_without_matching(method, merging, digits):
    agents = Networks(ChoosyTask(digits), Training(epochs=2, optimizer=Adam(learning_rate=0.01)), RANDOMNESS)
    run(method, agents, merging, rounds=4)
    assert min(agents.evaluate(row)["accuracy"] for row in range(AGENTS)) > 0.5


def test_matching_refuses_what_cannot_be_traced(digits):
    agents = Networks(ChoosyTask(digits), Training(epochs=1), RANDOMNESS)
    with pytest.raises(InputError, match=r"model: .*expected a method or a matching that matches nothing"):
        run(Dimat(), agents, Merging(Matching(), Calibration()), rounds=1)


@pytest.mark.parametrize(
    ("method", "merging"),
    [
        (WeightAveraging(shrink=0.5), Merging()),
        (WeightAveraging(), Merging(None, Calibration(repair="repair"))),
        (Dimat(), Merging(Matching(), Calibration())),
    ],
    ids=["shrunk", "repaired", "matched"],
)
def test_what_needs_a_trace_is_refused_in_one_line(method, merging, digits):
    agents = Networks(ChoosyTask(digits), Training(optimizer=Adam(learning_rate=0.01)), RANDOMNESS)
    with pytest.raises(InputError, match=r"Choosy cannot be traced|Choosy, evaluated: its outputs change"):
        run(method, agents, merging, rounds=1)
