"""Merging of Vision Transformers: planted permutations are found, and runs of the pipeline go through."""

import copy
import csv

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.jobs import assert_nothing_left_over, carried_out, only_run, open_runner

import dimat
from dimat.experiment import runner as runners
from dimat.experiment.interruption import Interrupted
from dimat.merging.calibration.recalibration import recalibrate
from dimat.merging.matching.frames import matched_pair
from dimat.merging.matching.options import Matching
from dimat.merging.matching.rematching import Reward
from dimat.models import Vit
from dimat.models.groups import permute, random_permutations
from dimat.models.symmetry import permutation_groups

SIZE = (4, 6)
SHAPE = (3, *SIZE)
MATCHERS = ["activation", "weight", "activation-weight"]


def pair(spec, seed, noise=0.0):
    """A network, the same with its channels re-ordered and disturbed a little, its groups, and the orders."""
    generator = torch.Generator().manual_seed(seed)
    network = spec.build(3, 10, SIZE).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    groups = permutation_groups(network, SHAPE)
    planted = random_permutations(groups, generator)
    other = copy.deepcopy(network)
    other.load_state_dict(permute(network.state_dict(), groups, planted))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += (
                noise * parameter.std(correction=0) * torch.randn(parameter.shape, generator=generator)
            )
    return network, other, groups, planted


def images(count=80, seed=0):
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=8)
@given(
    matcher=st.sampled_from(MATCHERS), heads=st.integers(1, 4), inside=st.integers(2, 6),
    depth=st.integers(1, 3), patch=st.sampled_from([1, 2]), seed=st.integers(0, 1000),
)  # fmt: skip
def test_planted_permutations_are_found_again(matcher, heads, inside, depth, patch, seed):
    spec = Vit(patch=patch, width=heads * inside, depth=depth, heads=heads)
    network, other, groups, planted = pair(spec, seed, noise=1e-3)
    compare = Matching.model_validate({"matcher": matcher}).matcher.compare
    similarity = compare({0: network, 1: other}, groups, [(0, 1)], [images()], False)[0, 1]
    found = matched_pair(similarity, groups, Reward())
    for group in groups:
        assert torch.equal(found[group.name], planted[group.name].argsort()), (matcher, str(group))


@pytest.mark.parametrize("matcher", MATCHERS)
def test_a_network_and_its_double_merge_to_one_that_answers_alike(matcher):
    network, other, _, _ = pair(Vit(patch=2, width=12, depth=2, heads=3), 0)
    batch = images()
    with torch.no_grad():
        expected = network(batch)
        merged = dimat.merge([network, other], batch, matcher=matcher).model(batch)
        averaged = dimat.merge([network, other], batch, matcher=None).model(batch)
    torch.testing.assert_close(merged, expected, rtol=1e-3, atol=1e-3)
    assert (averaged - expected).abs().max() > 0.5


def test_there_is_nothing_to_recalibrate():
    network, *_ = pair(Vit(patch=2, width=12, depth=1, heads=3), 0)
    before = copy.deepcopy(network.state_dict())
    recalibrate(network, [images()])
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


# Runs of the pipeline.

VIT = {"name": "vit", "patch": 2, "width": 8, "heads": 2, "depth": 1}
WAYS = {
    "activations": {"method": "dimat"},
    "activations, once, in a common frame": {
        "method": "dimat", "matching": {"alignment": "consistent", "rematch": "first_meeting"},
    },
    "weights": {"method": "dimat", "matching": {"matcher": "weight"}, "calibration": {"repair": "none"}},
    "repaired": {"method": "dimat", "calibration": {"repair": "repair", "images": "own"}},
    "in bfloat16": {
        "method": "dimat",
        "calibration": {"precision": "bfloat16"},
        "training": {"precision": "bfloat16", "pretrain_epochs": 1, "rounds": 2, "batch_size": 25},
    },
    "tuned, measured": {
        "method": "dimat", "tuning": {"factors": [1.0, 0.5]}, "measures": ["training_loss", "mean_model"],
    },
    "wa": {"method": "wa"},
    "wm": {"method": "wm"},
    "dpsgd": {"method": "dpsgd"},
    "local": {"method": "local"},
    "slices": {"method": {"name": "ist", "local_steps": 1}},
    "task vectors": {"method": {"name": "dimat", "coefficients": {"name": "task_arithmetic", "ties": 0.2}}},
}  # fmt: skip


def rows(runner):
    """The records of the only run, without its id."""
    with runner.layout.run(only_run(runner).id).open() as file:
        return [{key: value for key, value in row.items() if key != "run"} for row in csv.DictReader(file)]


@pytest.mark.parametrize("way", WAYS)
def test_a_run(way, small, tmp_path):
    small["training"] |= {"pretrain_epochs": 2, "rounds": 2}
    runner = carried_out(small | {"model": VIT} | WAYS[way], tmp_path)
    assert {row["metric"] for row in rows(runner)} >= {"test_accuracy", "test_loss"}
    assert_nothing_left_over(runner.layout)


def test_methods_that_repair_nothing_are_those_that_recalibrate(small, tmp_path):
    """Without batch normalization `recalibrate` and `none` are one."""
    small |= {"model": VIT, "method": "wa"}
    small["training"] |= {"pretrain_epochs": 1, "rounds": 2}
    found = []
    for repair in ("none", "recalibrate"):
        runner = carried_out(small | {"calibration": {"repair": repair, "images": "own"}}, tmp_path / repair)
        found.append(rows(runner))
    assert found[0] == found[1]


def test_a_run_that_is_left_goes_on_from_its_checkpoint(small, tmp_path, monkeypatch):
    small["training"] |= {"pretrain_epochs": 1, "rounds": 3, "optimizer_state": "kept"}
    content = small | {"model": VIT, "matching": {"alignment": "consistent", "rematch": "first_meeting"}}
    whole = carried_out(content, tmp_path / "whole")
    expected = rows(whole)
    with monkeypatch.context() as asked:
        asked.setattr(runners, "asked_to_leave", lambda *_: True)
        with pytest.raises(Interrupted, match="after round 1"):
            carried_out(content, tmp_path / "left")
    runner = open_runner(content, tmp_path / "left")
    runner.train(only_run(runner))
    assert rows(runner) == expected
