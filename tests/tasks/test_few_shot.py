"""Few-shot tasks: waves and angles are dealt out as they should be, and networks adapt to them."""

import math

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.jobs import carried_out, only_run, open_runner
from support.small import SMALL
from torch.func import functional_call

from dimat.agents.networks import Networks
from dimat.agents.training import Training
from dimat.data import DataFolders
from dimat.data.augmentation import Augmentation
from dimat.data.partitions import Iid, WholeClasses
from dimat.data.rotation import turned
from dimat.data.sines import Sines
from dimat.errors import InputError
from dimat.experiment.reading import parse_study
from dimat.experiment.records import read_records
from dimat.models import Mlp, Plain
from dimat.randomness import Randomness
from dimat.tasks.few_shot import STEPS
from dimat.tasks.images import Batch
from dimat.tasks.rotations import Rotations
from dimat.tasks.sines import GRID, SineRegression

RANDOMNESS = Randomness("few shots", 0)
BANDS = 3
WAVES = Sines(bands=BANDS, waves=8, test_waves=7).read(DataFolders((), None))
AS_IT_IS = Augmentation(flip=False, crop=0)


def sines(batch_size=2, **options):
    shares = WholeClasses().shares(WAVES.train_labels.numpy(), BANDS, numpy.random.default_rng(0))
    objective = SineRegression(shots=4, rate=0.05, **options)
    return objective.task(
        Mlp(side=1, widths=(5,)), WAVES, shares, AS_IT_IS, RANDOMNESS, batch_size=batch_size
    )


def rotations(digits, agents=4, batch_size=30, **options):
    shares = Iid().shares(digits.train_labels.numpy(), agents, numpy.random.default_rng(0))
    objective = Rotations(test_angles=3, **options)
    return objective.task(Plain(widths=(3, 4)), digits, shares, AS_IT_IS, RANDOMNESS, batch_size=batch_size)


# Waves.


@given(st.integers(1, 9), st.integers(1, 20), st.integers(0, 20))
def test_waves_are_in_their_bands_and_known_beforehand(bands, waves, more):
    data = Sines(bands=bands, waves=waves, test_waves=bands + more)
    found = data.read(DataFolders((), None))
    for examples, labels, counts in (
        (found.train_images, found.train_labels, data.known().train),
        (found.test_images, found.test_labels, data.known().test),
    ):
        amplitude, phase = examples.flatten(1).unbind(1)
        assert torch.equal(((amplitude - 0.1) / (4.9 / bands)).floor().long(), labels)
        assert 0 <= phase.min() <= phase.max() <= math.pi
        assert tuple(torch.bincount(labels).tolist()) == counts
    assert found.normalized(found.train_images).dtype == torch.float32


def test_waves_survive_the_disk(tmp_path):
    WAVES.save(tmp_path / "waves.safetensors")
    read = WAVES.load(tmp_path / "waves.safetensors")
    assert torch.equal(read.train_images, WAVES.train_images) and read.train_images.dtype == torch.float64
    assert read.fingerprint() == WAVES.fingerprint()


def test_each_agent_has_the_points_of_its_own_waves():
    task = sines()
    assert task.steps_per_epoch == task.epoch_length(0, "train") == 4
    bands = set()
    for agent in range(BANDS):
        seen = []
        for sample in task.epoch(agent, "train", 1, 0):
            assert sample.support.shape == sample.query.shape == (2, 4, 1, 1, 1)
            for points, values in (
                (sample.support, sample.support_labels),
                (sample.query, sample.query_labels),
            ):
                assert points.abs().max() <= 5
                seen += [fitted(*each) for each in zip(points.flatten(1), values.flatten(1), strict=True)]
        found = sorted({(round(amplitude, 6), round(phase, 6)) for amplitude, phase in seen})
        mine = WAVES.train_images[task.holdings[agent]].flatten(1)
        assert found == sorted((round(a, 6), round(p, 6)) for a, p in mine.tolist())
        bands |= {tuple(WAVES.train_labels[task.holdings[agent]].unique().tolist())}
    assert bands == {(0,), (1,), (2,)}


def fitted(points, values):
    """The amplitude and the phase of the wave through some points, by least squares."""
    points = points.double()
    design = torch.stack([points.sin(), points.cos()], 1)
    sine, cosine = torch.linalg.lstsq(design, values[:, None]).solution.flatten().tolist()
    return math.hypot(sine, cosine), math.atan2(-cosine, sine)


def test_points_are_drawn_anew_in_each_epoch_and_always_alike():
    task = sines()
    first, again, other = (next(task.epoch(0, "train", 1, epoch)) for epoch in (0, 0, 1))
    assert torch.equal(first.support, again.support) and torch.equal(first.query, again.query)
    assert not torch.isin(first.support, other.support).any()
    assert not torch.isin(first.support, first.query).any()
    same = next(sines(queries="same").epoch(0, "train", 1, 0))
    assert torch.equal(same.support, first.support) and torch.equal(same.query, same.support)
    assert torch.equal(same.query_labels, same.support_labels)


def test_waves_are_tested_on_a_grid():
    (tests,) = sines(queries="same").test_episodes()
    assert tests.support.shape == (7, 4, 1, 1, 1) and tests.query.shape == (7, GRID, 1, 1, 1)
    assert (tests.query[0, 0], tests.query[0, -1]) == (-5, 5)
    for wave, points, values in zip(WAVES.test_images, tests.query, tests.query_labels, strict=True):
        assert fitted(points.flatten(), values.flatten()) == pytest.approx(wave.flatten().tolist())


# Angles.


def test_an_agents_images_are_turned_by_angles_of_its_range(digits):
    task = rotations(digits)
    upright = digits.normalized(digits.train_images)
    for agent in range(4):
        sample = next(task.epoch(agent, "train", 1, 0))
        assert sample.support.shape == sample.query.shape == (1, 15, 1, 8, 8)
        order, _ = task._drawn(agent, "train", 1, 0)
        generator = RANDOMNESS.torch("train, angles of epoch 0", agent=agent, round=1)
        degrees = 90 * (agent + torch.rand((), generator=generator).item())
        shown = digits.normalized(turned(digits.train_images[order[:30]], degrees))
        assert torch.equal(torch.cat([sample.support[0], sample.query[0]]), shown)
        assert torch.equal(sample.query_labels[0], digits.train_labels[order[15:30]])
        assert not torch.equal(shown, upright[order[:30]])


def test_a_quarter_turn_moves_pixels():
    images = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    assert torch.equal(turned(images, 90), torch.rot90(images, 1, (2, 3)))
    assert turned(images, 0) is images


def test_all_angles_are_tested_on_images_that_were_not_adapted_to(digits):
    tests = list(rotations(digits, queries="same").test_episodes())
    assert len(tests) == 3
    middle = tests[1]  # of 0 to 360 degrees
    assert middle.support.shape == (1, 15, 1, 8, 8) and middle.query.shape == (1, 345, 1, 8, 8)
    shown = torch.cat([middle.support[0], middle.query[0]]).flip(2, 3)
    everything = digits.normalized(digits.test_images)
    assert (
        torch.equal(shown.flatten(1).sum(1).sort().values, everything.flatten(1).sum(1).sort().values)
        or (shown.sort(0).values - everything.sort(0).values).abs().max() < 1e-5
    )


# Adaptation.


def one_by_one(task, network, steps):
    """The mean score after each step, written out task by task."""
    curves = []
    for episodes in task.test_episodes():
        for support, query in task.episodes(episodes):
            state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
            names = [name for name, _ in network.named_parameters()]
            network.train()
            curve = []
            for _ in range(steps + 1):
                buffers = {name: tensor.clone() for name, tensor in state.items() if name not in names}
                free = {name: state[name].requires_grad_() for name in names}
                output = functional_call(network, free | buffers, (query.images,))
                curve.append(task.objective.score(output, query.labels).item())
                output = functional_call(network, free | buffers, (support.images,))
                slopes = torch.autograd.grad(task.objective.loss(output, support.labels), list(free.values()))
                for name, slope in zip(names, slopes, strict=True):
                    state[name] = state[name].detach() - task.objective.rate * slope
            curves.append(curve)
    return numpy.mean(curves, axis=0)


@pytest.mark.parametrize("kind", ["sines", "rotations"])
def test_all_adapt_at_once_as_one_after_the_other(kind, digits):
    task = sines() if kind == "sines" else rotations(digits)
    network = task.variables(0)
    expected = one_by_one(task, network, STEPS)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = task.adapted_scores(network)
    assert len(found) == 10 and found == pytest.approx(expected.tolist(), rel=1e-4)
    name = task.metric.name
    plain = name.replace("adapted", "plain")
    assert task.evaluate(0, network) == {name: pytest.approx(found[1]), plain: pytest.approx(found[0])}
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not network.training


def test_without_adaptation_all_examples_are_fitted():
    task = sines()
    network, sample = task.variables(0), next(task.epoch(0, "train", 1, 0))
    halves = [task.loss(network, part) for pair in task.episodes(sample) for part in pair]
    assert [len(pair) for pair in task.episodes(sample)] == [2, 2]
    assert all(isinstance(part, Batch) for pair in task.episodes(sample) for part in pair)
    torch.testing.assert_close(task.loss(network, sample), torch.stack(halves).mean())


def test_the_meta_gradient_of_waves_is_that_of_their_loss_after_adaptation():
    task = sines()
    agents = Networks(task, Training(), RANDOMNESS)
    sample, point, network = next(task.epoch(1, "train", 1, 0)), agents.parameters[1], agents.models[1]
    shapes = [(name, tensor.shape) for name, tensor in network.named_parameters()]

    def loss(at, batch):
        parts = at.split([shape.numel() for _, shape in shapes])
        state = {name: part.view(shape) for (name, shape), part in zip(shapes, parts, strict=True)}
        return (functional_call(network, state, (batch.images,)) - batch.labels).square().mean()

    def objective(at):
        pairs = task.episodes(sample)
        return sum(loss(at - 0.3 * torch.func.grad(loss)(at, one), two) for one, two in pairs) / len(pairs)

    found = agents.meta_gradient(1, sample, point, 0.3)
    torch.testing.assert_close(found, torch.func.grad(objective)(point), rtol=0, atol=1e-10)


# Studies.

SINES = SMALL | {
    "task": {"name": "sines", "shots": 5},
    "data": {"name": "sines", "bands": 3, "waves": 10, "test_waves": 9},
    "model": {"name": "mlp", "side": 1, "widths": [5, 4]},
    "partition": "classes",
    "measures": "adaptation",
    "training": {"pretrain_epochs": 0, "rounds": 3, "epochs": 1, "batch_size": 1},
}
TURNED = SMALL | {
    "task": {"name": "rotations", "test_angles": 2, "degrees": 180},
    "training": SMALL["training"] | {"rounds": 2},
}
METHODS = [
    "dif_maml", {"name": "dif_maml", "cooperative": False, "first_order": True},
    "dpsgd", "dimat", "local", "pooled",
]  # fmt: skip


@pytest.mark.parametrize("content", [SINES, TURNED], ids=["sines", "rotations"])
def test_every_kind_of_method_learns_them(content, tmp_path):
    runner = carried_out(content | {"method": METHODS}, tmp_path)
    assert len(runner.study.runs) == len(METHODS)
    for run in runner.study.runs.values():
        assert run.graph is None or run.method.name in ("dpsgd", "dimat") or run.method.cooperative
        records = read_records(runner.layout.run(run.id))
        metric = run.task.metric.name
        found = records[records.metric == metric]
        assert len(found) == run.agents * 2 * run.training.rounds
        assert {"adapted", "plain"} == {
            name.split("_")[0] for name in records.metric if name.endswith(metric[8:])
        }
        after = records[records.metric.str.startswith(f"{metric}_")]
        wanted = {(0, "start"), (run.training.rounds, "merged")} if run.measures else set()
        assert set(zip(after["round"], after.stage, strict=True)) == wanted
        assert len(after) == run.agents * len(wanted) * 10


def test_what_is_learnt_is_to_adapt(tmp_path):
    """Waves of all bands after one step: agents who cooperate do better than alone, and than at first."""
    longer = SINES | {
        "data": SINES["data"] | {"waves": 100, "test_waves": 60},
        "method": [
            {"name": "dif_maml", "learning_rate": 0.01, "cooperative": each} for each in (True, False)
        ],
    }
    runner = carried_out(longer, tmp_path)
    reached = {}
    for run in runner.study.runs.values():
        records = read_records(runner.layout.run(run.id))
        means = records[records.metric == "adapted_loss"].groupby(["round", "stage"]).value.mean()
        reached[run.method.cooperative] = means[3, "merged"]
        assert means[3, "merged"] < means[0, "start"]
    assert reached[True] < reached[False]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (SMALL | {"task": "sines"}, "task: sines learns from waves, and data: digits has images"),
        (
            SINES | {"task": "classification"},
            "task: classification learns from images, and data: sines has waves",
        ),
        (SINES | {"task": "rotations"}, "task: rotations learns from images, and data: sines has waves"),
        (
            SINES | {"measures": "parts"},
            "measures: task sines.* has no parts, as every test",
        ),
        (TURNED | {"measures": "training_loss"}, "measures: task rotations.* has no training_loss"),
        (
            SMALL | {"measures": "adaptation"},
            "measures: task classification has no adaptation",
        ),
        (
            TURNED | {"training": TURNED["training"] | {"batch_size": 1}},
            "training.batch_size: 1; expected 2 or more",
        ),
        (
            SINES | {"data": {"name": "sines", "size": 8}},
            "sines are no images; expected neither size, flip nor",
        ),
        (SINES | {"data": {"name": "sines", "test_waves": 5}}, "test_waves: 5; expected 6 or more"),
        (SINES | {"task": {"name": "sines", "rate": 0.0}}, "task.0.sines.rate: 0.0"),
        (SINES | {"method": {"name": "dif_maml", "inner_rate": -1.0}}, "method.0.dif_maml.inner_rate: -1.0"),
        (SINES | {"model": "vgg16"}, "model: vgg16 takes images of 32x32 pixels or more, got 1x1"),
        (SINES | {"agents": 40}, "agents: 40 are too many for 30 training images"),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_read(content, said):
    with pytest.raises(InputError, match=f"^study: .*{said}"):
        parse_study(content, "study").check()


def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    """What Adam keeps of each agent is resumed with it."""
    content = SINES | {"method": "dif_maml"}
    runner = open_runner(content, tmp_path / "again")
    for start in runner.study.pretrained.values():
        runner.pretrain(start)
    run = only_run(runner)
    method, agents, communicator, _ = runner.opened(run, runner.checkpoint_of(run))
    stages = method.rounds(agents, communicator, run.merging, 1, 3)
    while next(stages)[:2] != (1, "trained"):
        pass
    saved = {name: tensor.clone() for name, tensor in agents.tensors(optimizers=False).items()}
    _, other, links, _ = runner.opened(run, runner.checkpoint_of(run))
    other.load_tensors(saved)
    for each in (stages, method.rounds(other, links, run.merging, 2, 3)):
        for _ in each:
            pass
    assert torch.equal(other.parameters, agents.parameters)
