"""The naive reference gives the same merge, and the command prints a table."""

import copy

import pandas
import pytest
import torch
from torch import nn

from benchmarks.merge import GRAPHS, MERGES, Case, build
from benchmarks.reference import merge_naively
from dimat.merging.images import visible_images
from dimat.merging.merge import match_neighbours, merge_with_neighbours
from dimat.merging.options import Merge

TINY = ["--images", "16", "--size", "8", "--batch", "8", "--threads", "1", "--agents", "3"]


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_reference_finds_the_same_permutations_and_networks(graph, randomize):
    # One batch: agents draw images in an order of their own, on which batch statistics would depend.
    fleet, network = build(Case("resnet20", graph, 4, images=64, size=16, batch=64, threads=1, device="cpu"))
    for agent, model in enumerate(fleet.models):
        randomize(model, agent)
    other = copy.deepcopy(fleet)
    images = visible_images(fleet, network, Merge(), None, round=1)
    expected = match_neighbours(fleet, network, Merge(), round=1).permutations
    found = merge_naively(other, network, images)
    assert set(found) == set(expected)
    for pair, by_group in found.items():
        for name, order in by_group.items():
            assert torch.equal(order, expected[pair][name])

    merge_with_neighbours(fleet, network, Merge(), round=1)
    for one, naive in zip(fleet.models, other.models, strict=True):
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
    case = Case("resnet20", "ring", 4, images=16, size=8, batch=8, threads=1, device="cpu")
    passes = {}
    for method in (benchmark.BARE, *MERGES, benchmark.REFERENCE):
        fleet, network = build(case)
        layers = sum(isinstance(module, nn.BatchNorm2d) for module in fleet.models[0].modules())
        runs.clear()
        benchmark.run(method, fleet, network)
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


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "resnet21"], "--model: 'resnet21' is not valid; valid: resnet20, vgg16"),
        (["--graph", "star"], "--graph: 'star' is not valid; valid: ring, complete"),
        (["--device", "tpu"], "--device: 'tpu' is not valid; valid: auto, cpu, cuda"),
        (["--agents", "2"], "--agents: 2 is not valid here; valid is 3 or more"),
        (["--images", "9"], "--images: 9 is not valid here; valid is 10 or more"),
        (["--batch", "1"], "--batch: 1 is not valid here; valid is 2 or more"),
        (["--threads", "0"], "--threads: 0 is not valid here; valid is 1 or more"),
        (["--repeats", "0"], "--repeats: 0 is not valid here; valid is 1 or more"),
        (["--model", "vgg16", "--size", "16"], "--size: 16 is not valid here; valid is 32 or more"),
        (["--output", "."], "--output: . is a folder; valid is a file"),
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
