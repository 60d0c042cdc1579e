"""References do what they are compared with, and the commands print tables."""

import copy
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
import torch
from torch import nn

import benchmarks
from benchmarks import throughput
from benchmarks import train as training
from benchmarks.agents import MODEL as AGENT
from benchmarks.agents import run as run_agents
from benchmarks.merge import GRAPHS, MERGES, MergeCase, build
from benchmarks.page import page
from benchmarks.plain_training import PlainTraining
from benchmarks.reference import merge_naively
from benchmarks.side_by_side import train_by_vmap, train_in_turns
from benchmarks.throughput import SAMPLES
from dimat.agents.optimizers import Sgd
from dimat.experiment import throughput as devices
from dimat.experiment.throughput import Speed
from dimat.merging.averaging.options import Averaging
from dimat.merging.calibration.images import visible_images
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.neighbours import match_neighbours
from dimat.merging.matching.options import Matching
from dimat.merging.merge import known_models, merge_with_neighbours
from dimat.merging.options import Merging
from dimat.models import ResNet20

TINY = ["--images", "16", "--size", "8", "--batch", "8", "--threads", "1", "--agents", "3"]


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_reference_finds_the_same_permutations_and_networks(graph, randomize):
    # One batch: agents draw images in an order of their own, on which batch statistics would depend.
    case = MergeCase("resnet20", graph, 4, images=64, size=16, batch=64, threads=1, device="cpu")
    agents, communicator = build(case)
    for agent, model in enumerate(agents.models):
        randomize(model, agent)
    other = copy.deepcopy(agents)
    images = visible_images(agents, communicator, Calibration(), None, round=1)
    received = communicator.send_to_receivers(agents.states(), "models")
    known = known_models(agents, communicator, received)
    expected = match_neighbours(agents, communicator, Matching(), Calibration(), 1, known).permutations
    found = merge_naively(other, communicator, images)
    assert set(found) == set(expected)
    for pair, by_group in found.items():
        for name, order in by_group.items():
            assert torch.equal(order, expected[pair][name])

    merge_with_neighbours(agents, communicator, Merging(Matching(), Calibration()), Averaging(), round=1)
    for one, naive in zip(agents.models, other.models, strict=True):
        for name, tensor in one.state_dict().items():
            if tensor.is_floating_point():
                torch.testing.assert_close(tensor, naive.state_dict()[name], atol=1e-4, rtol=1e-4)


def test_networks_run_as_often_as_their_passes_say(monkeypatch):
    """Forward calls of normalization layers over 2 batches: 3 N, 2 N and N (2 d + 3) passes."""
    from benchmarks import merge as benchmark

    runs = []
    original = nn.BatchNorm2d.forward
    monkeypatch.setattr(
        nn.BatchNorm2d, "forward", lambda layer, features: (runs.append(1), original(layer, features))[1]
    )
    case = MergeCase("resnet20", "ring", 4, images=16, size=8, batch=8, threads=1, device="cpu")
    passes = {}
    for method in (benchmark.BARE, *MERGES, benchmark.REFERENCE):
        agents, communicator = build(case)
        layers = sum(isinstance(module, nn.BatchNorm2d) for module in agents.models[0].modules())
        runs.clear()
        benchmark.run(method, agents, communicator)
        passes[method] = len(runs) / layers / 2
    assert passes == {"bare passes": 12, "merge": 12, "merge, 2 passes": 8, "reference": 28}


def test_the_command_prints_a_table_and_writes_it(dimat, tmp_path):
    ended = dimat("bench", "merge", *TINY, "--output", tmp_path / "table.csv")
    assert ended.returncode == 0, ended.stderr
    header, *lines = ended.stdout.splitlines()
    assert "ratio" in header
    table = pandas.read_csv(tmp_path / "table.csv")
    assert list(table["method"]) == ["bare passes", "merge", "merge, 2 passes", "reference"]
    assert len(lines) == len(table)
    assert (table["seconds"] > 0).all()
    assert table["ratio"][0] == 1
    assert set(table["agents"]) == {3}
    assert set(table["graph"]) == {"ring"}


def test_low_precision_is_measured_where_it_is_asked_for(dimat, tmp_path):
    tiny = [*TINY, "--bfloat16", "--no-reference"]
    ended = dimat("bench", "merge", *tiny, "--output", tmp_path / "table.csv")
    assert ended.returncode == 0, ended.stderr
    table = pandas.read_csv(tmp_path / "table.csv")
    assert list(table["method"]) == [
        "bare passes", "merge", "merge, 2 passes", "bfloat16", "bfloat16, 2 passes",
    ]  # fmt: skip


def test_assignments_of_all_precisions_are_compared(dimat, tmp_path):
    tiny = ["--images", "200", "--agents", "3", "--epochs", "3", "--threads", "1", "--device", "cpu"]
    ended = dimat("bench", "precision", *tiny, "--output", tmp_path / "table.csv")
    assert ended.returncode == 0, ended.stderr
    table = pandas.read_csv(tmp_path / "table.csv").set_index("precision")
    assert list(table.index) == ["float64", "float32", "bfloat16"]
    assert table["same"]["float64"] == 1
    assert table["same"]["float32"] > 0.98
    assert table["same"]["bfloat16"] > 0.7
    assert table["lost"].between(0, 1e-3).all()
    assert table["accuracy"][1:].between(0.05, 1).all()


def test_the_page_shows_every_table_and_refuses_others(dimat, tmp_path):
    ended = dimat("bench", "agents", "--agents", "3", "--rounds", "1", "--threads", "1", "--device", "cpu",
                  "--output", tmp_path / "agents.csv")  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    text = page([tmp_path / "agents.csv"])
    (row,) = pandas.read_csv(tmp_path / "agents.csv").itertuples()
    assert f"| 3 | {row.parameters / 2**20:.1f} | {row.peak / 2**20:.1f} | {row.ratio:.2f} |  |" in text
    assert row.machine in text
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    ended = dimat("bench", "page", tmp_path / "other.csv")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "other.csv: no table of `dimat bench`" in ended.stderr


def test_the_published_page_is_made_from_the_published_tables():
    root = Path(benchmarks.__file__).parent
    published = (root.parent / "docs" / "benchmarks.md").read_text()
    assert published == page(sorted((root / "records").glob("*.csv")))


# Throughput.


@pytest.mark.parametrize(
    "rate", [Speed(1e9, 1e8, 1e-4), Speed(1e13, 1e11, 1e-3), Speed(2e10, 5e9, 2e-5)], ids=str
)
def test_rates_are_found_from_the_times_that_they_explain(rate):
    amounts = [
        throughput.amount_of(kind, sample, 2) for kind in ("steps", "passes") for sample in SAMPLES["cpu"]
    ]
    seconds = [rate.seconds(amount) for amount in amounts]
    found, worst = throughput.fit(amounts, seconds, peaks=(1e15, 1e15))
    assert worst == pytest.approx(1, abs=1e-3)
    for amount, expected in zip(amounts, seconds, strict=True):
        assert found.seconds(amount) == pytest.approx(expected, rel=0.01)
    # a network that was not timed, four times as wide
    other = throughput.amount_of("steps", throughput.Sample(ResNet20(width=16), 32, 100), 2)
    assert found.seconds(other) == pytest.approx(rate.seconds(other), rel=0.05)


def test_no_rate_is_above_its_peak():
    amounts = [throughput.amount_of("passes", sample, 2) for sample in SAMPLES["cpu"]]
    found, _ = throughput.fit(amounts, [1e-9] * len(amounts), peaks=(3e9, 2e9))
    assert found.flops == 3e9 and found.bandwidth == 2e9


def test_a_machine_is_measured(monkeypatch, tmp_path, dimat):
    """In this process, and with the smallest networks: the times themselves are whatever they are."""
    monkeypatch.setattr(throughput, "SAMPLES", {"cpu": throughput.SMALL})
    monkeypatch.setattr(throughput, "in_fresh_process", lambda function, *arguments: function(*arguments))
    table = tmp_path / "throughput.json"
    monkeypatch.setattr(devices, "TABLE", table)
    monkeypatch.setattr(devices.write_device, "__defaults__", (table,))
    monkeypatch.setattr(devices.known_devices.__wrapped__, "__defaults__", (table,))
    arguments = ("--threads", "1", "--device", "cpu", "--repeats", "1")
    ended = dimat("bench", "throughput", *arguments, "--write", "--note", "in a test")
    assert ended.returncode == 0, ended.stderr
    (device,) = devices.known_devices(table).values()
    assert device.name == devices.name_of(torch.device("cpu")) and device.threads == 1
    assert device.measured.endswith(", in a test")
    assert device.command == " ".join(["dimat bench throughput", *arguments, "--write"])
    assert device.name in ended.stdout and len(ended.stdout.splitlines()) == 6


# Training.

CASE = training.TrainingCase("plain", agents=3, images=24, size=8, batch=4, threads=1, device="cpu")


def test_the_plain_loop_sees_each_image_once_an_epoch():
    agents = training.build(CASE, "float32")
    plain = PlainTraining(agents, training.MODELS[CASE.model])
    seen = [[] for _ in plain.networks]
    for network, loader, images in zip(plain.networks, plain.loaders, seen, strict=True):
        loader.dataset.transform = lambda image: image.float()
        network.register_forward_pre_hook(lambda _, inputs, images=images: images.extend(inputs[0]))
    plain.epoch()
    for images, held in zip(seen, agents.task.holdings, strict=True):
        expected = sorted(image.flatten().tolist() for image in agents.task.data.train_images[held])
        assert sorted(image.flatten().tolist() for image in images) == expected


def test_the_plain_loop_has_the_same_networks_and_normalizes_alike():
    agents = training.build(CASE, "float32")
    plain = PlainTraining(agents, training.MODELS[CASE.model])
    images = torch.stack([image for image, _ in plain.loaders[0].dataset])
    assert images.shape == (8, 3, 8, 8)
    assert images.is_contiguous()
    extremes = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    darkest, brightest = agents.task.data.normalized(extremes)
    assert (images >= darkest - 1e-5).all()
    assert (images <= brightest + 1e-5).all()
    batch = images[:4]
    assert torch.allclose(plain.networks[2](batch), agents.models[2](batch), atol=1e-6)


@pytest.mark.parametrize("train", [train_by_vmap, train_in_turns])
@pytest.mark.parametrize("model", ["resnet20", "plain"])
def test_training_side_by_side_gives_the_networks_of_the_loop(train, model):
    """With SGD: Adam divides by the gradient's size, also where that is round-off."""
    case = replace(CASE, model=model, size=16)
    agents, other = (training.build(case, "float32") for _ in range(2))
    for each in (agents, other):
        each.optimizer = Sgd(learning_rate=0.01)
    start = copy.deepcopy(agents.states())
    agents.train(round=1)
    train(other, round=1)
    for agent, state in enumerate(agents.states()):
        for name, tensor in state.items():
            torch.testing.assert_close(other.states()[agent][name], tensor, atol=1e-4, rtol=1e-3)
        assert (state["classifier.weight"] - start[agent]["classifier.weight"]).abs().max() > 1e-3


def test_bare_steps_are_as_many_as_batches_in_an_epoch():
    agents = training.build(CASE, "float32")
    training.bare_steps(agents)()
    steps = [int(network.features[1].num_batches_tracked) for network in agents.models]
    assert steps == [2, 2, 2]


def test_training_prints_a_table_and_writes_it(dimat, tmp_path):
    tiny = ["--model", "plain", "--images", "20", "--size", "8", "--batch", "4", "--threads", "1"]
    tiny += ["--agents", "1", "--agents", "2", "--repeats", "1", "--device", "cpu"]
    ended = dimat("bench", "train", *tiny, "--output", tmp_path / "table.csv")
    assert ended.returncode == 0, ended.stderr
    header, *lines = ended.stdout.splitlines()
    assert "images/s" in header
    table = pandas.read_csv(tmp_path / "table.csv")
    assert len(lines) == len(table)
    half = [("bare step", "bfloat16"), ("networks", "bfloat16")]
    one = [("plain loop", "float32"), ("bare step", "float32"), ("networks", "float32")]
    for agents, images, expected in ((1, 20, one + half), (2, 16, [*one, ("vmap", "float32"), *half])):
        rows = table[table["agents"] == agents]
        assert list(zip(rows["method"], rows["precision"], strict=True)) == expected
        assert set(rows["images"]) == {images}
        assert (rows["images_per_second"] > 0).all()
    assert (table["to_plain"][table["method"] == "plain loop"] == 1).all()
    assert (table["to_bare"][table["method"] == "bare step"] == 1).all()


def test_recorded_steps_are_measured_on_gpus_only():
    recorded = {("recorded", "float32"), ("recorded", "bfloat16")}
    assert recorded <= set(training.methods(replace(CASE, device="cuda", agents=1)))
    assert not recorded & set(training.methods(CASE))


def test_streams_are_measured_on_gpus_only():
    streams = {("streams", "float32"), ("streams", "bfloat16")}
    assert streams <= set(training.methods(replace(CASE, device="cuda")))
    assert not streams & set(training.methods(CASE))
    assert not streams & set(training.methods(replace(CASE, device="cuda", agents=1)))


# Many agents.


def test_memory_of_agents_is_a_table(dimat, tmp_path):
    options = ["--agents", "4", "--agents", "3", "--rounds", "2", "--threads", "1", "--device", "cpu"]
    ended = dimat("bench", "agents", *options, "--output", tmp_path / "table.csv")
    assert ended.returncode == 0, ended.stderr
    table = pandas.read_csv(tmp_path / "table.csv")
    assert list(table["agents"]) == [3, 4]
    assert list(table["parameters"]) == [899368 * 3, 899368 * 4]
    assert len(ended.stdout.splitlines()) == 3
    assert table["slope"].isna().tolist() == [True, False]


@pytest.mark.parametrize("state", ["reset", "kept"])
def test_agents_hold_nothing_between_trainings_that_they_do_not_need(state, make_agents):
    agents = make_agents(agents=2, epochs=1, optimizer_state=state)
    agents.train(round=1)
    for network, optimizer in zip(agents.models, agents.optimizers, strict=True):
        assert all(parameter.grad is None for parameter in network.parameters())
        assert bool(optimizer.state) == (state == "kept")


def test_parameters_of_agents_are_counted():
    model = AGENT.build(3, 10)
    assert run_agents(3, 1, "cpu") == 3 * sum(tensor.nbytes for tensor in model.parameters())


@pytest.mark.parametrize(
    ("command", "arguments", "complaint"),
    [
        ("train", ["--model", "vgg16"], "--model: 'vgg16' is not one of resnet20, resnet20x8, plain"),
        ("train", ["--agents", "0"], "--agents: 0; expected 1 or more"),
        ("train", ["--images", "499"], "--images: 499; expected 500 or more"),
        ("train", ["--size", "4"], "--size: 4; expected 8 or more"),
        ("train", ["--batch", "1"], "--batch: 1; expected 2 or more"),
        ("train", ["--repeats", "0"], "--repeats: 0; expected 1 or more"),
        ("train", ["--threads", "0"], "--threads: 0; expected 1 or more"),
        ("train", ["--device", "tpu"], "--device: 'tpu' is not one of auto, cpu, cuda"),
        ("train", ["--output", "."], "--output: . is a folder; expected a file"),
        ("agents", ["--agents", "2"], "--agents: 2; expected 3 or more"),
        ("agents", ["--rounds", "0"], "--rounds: 0; expected 1 or more"),
        ("agents", ["--output", "."], "--output: . is a folder; expected a file"),
    ],
)
def test_bad_values_of_training_and_agents_are_one_line(command, arguments, complaint, dimat):
    ended = dimat("bench", command, *arguments)
    assert ended.returncode == 2
    assert ended.stderr == f"dimat: error: {complaint}\n"
    assert not ended.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "resnet21"], "--model: 'resnet21' is not one of resnet20, resnet20x8, vgg16"),
        (["--graph", "star"], "--graph: 'star' is not one of ring, complete"),
        (["--device", "tpu"], "--device: 'tpu' is not one of auto, cpu, cuda"),
        (["--agents", "2"], "--agents: 2; expected 3 or more"),
        (["--images", "9"], "--images: 9; expected 10 or more"),
        (["--batch", "1"], "--batch: 1; expected 2 or more"),
        (["--threads", "0"], "--threads: 0; expected 1 or more"),
        (["--repeats", "0"], "--repeats: 0; expected 1 or more"),
        (["--model", "vgg16", "--size", "16"], "--size: 16; expected 32 or more"),
        (["--output", "."], "--output: . is a folder; expected a file"),
    ],
)
def test_bad_values_are_one_line(arguments, complaint, dimat):
    ended = dimat("bench", "merge", *arguments)
    assert ended.returncode == 2
    assert ended.stderr == f"dimat: error: {complaint}\n"
    assert not ended.stdout


def test_help_explains_the_table(dimat):
    ended = dimat("bench", "merge", "--help")
    assert ended.returncode == 0
    assert "ratio" in ended.stdout
    assert "--repeats" in ended.stdout


@pytest.mark.parametrize(
    ("source", "network", "groups"), [("torchvision", "squeezenet1_1", "25"), ("timm", "resmlp_12_224", "13")]
)
def test_networks_of_others_are_tried(source, network, groups, dimat, tmp_path):
    arguments = ("bench", "networks", "--source", source, "--network", network, "--output", "networks.csv")
    done = dimat(*arguments, "--threads", "1")
    if source == "timm" and done.returncode == 2:
        assert "--source: timm is not installed" in done.stderr
        pytest.skip("timm is not installed")
    assert done.returncode == 0, done.stderr
    (row,) = pandas.read_csv(tmp_path / "networks.csv", dtype=str).to_dict("records")
    assert row["groups"] == groups and float(row["error"]) < 1e-12 and 0.9 < float(row["share"]) <= 1
    assert f"| {network} |" in page([tmp_path / "networks.csv"])


def test_unknown_networks_are_refused(dimat):
    done = dimat("bench", "networks", "--network", "perceptron")
    assert done.returncode == 2
    assert "--network: 'perceptron' is not one of alexnet" in done.stderr
