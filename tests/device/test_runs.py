"""Whole runs on a second device: nothing is mixed, and every recorded number is that of the CPU."""

import copy
import json
from contextlib import ExitStack
from unittest import mock

import pytest
import torch
from support.jobs import assert_nothing_left_over, open_runner
from support.pretend_device import pretend_device
from support.small import SMALL

import dimat
from dimat.experiment import runner as runners
from dimat.experiment.interruption import Interrupted
from dimat.methods import known_methods
from dimat.models import Plain

pytestmark = pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")

FORMS = {
    "dpsgd": [{"momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "normalization": "frozen"}],
    "cdmsgd": [{"nesterov": True}],
    "ld_sgd": [{"local_steps": 1, "gossip_steps": 1}],
    "swarm_sgd": [{"momentum": 0.5}],
    "gradient_tracking": [{"form": "diging"}, {"form": "dsgt"}],
    "cga": [
        {"compressed": True},
        {"compressed": True, "scales": "layer", "own_compressed": True, "per_layer": True},
        {"margin": 0.5, "nesterov": True},
    ],
    "dimat": [
        {"coefficients": {"name": "entropy", "steps": 2}},
        {"coefficients": {"name": "entropy", "steps": 2, "images": "test"}},
        {"shrink": 0.5, "optimizer": "momentum"},
    ],
}
"""Forms of methods besides their own defaults."""
METHODS = [*({"name": name} for name in known_methods), *(
    {"name": name, **form} for name, forms in FORMS.items() for form in forms
)]  # fmt: skip
MATCHINGS = [
    *(
        {"matcher": matcher, "alignment": alignment}
        for matcher in ("activation", "weight", "activation-weight")
        for alignment in ("per_edge", "consistent")
    ),
    {"passes": 2, "rematch": "sticky"},
    {"rematch": "first_meeting"},
    {"rematch": "margin", "alignment": "consistent"},
]  # fmt: skip
CALIBRATIONS = [
    {"repair": repair, "images": images, "augmented": images != "own", "limit": 20}
    for repair, images in (
        ("none", "own"), ("recalibrate", "neighbours"), ("recalibrate", "own"), ("repair", "pooled"),
        ("rescale", "own"),
    )
]  # fmt: skip
OTHERS = {
    "residual": {
        "method": "dimat", "model": {"name": "resnet20", "width": 1}, "calibration": {"limit": 10},
        "training": {"rounds": 1, "batch_size": 15, "pretrain_epochs": 1},
    },
    "kept optimizers": {
        "method": "dimat", "graph": "complete",
        "training": {"rounds": 2, "batch_size": 10, "pretrain_epochs": 1, "optimizer_state": "kept"},
    },
    "links that fail": {"method": "dimat", "graph": {"name": "ring", "link_failures": 0.5}},
    "one direction": {"method": "sgp", "graph": "directed_ring"},
    "tuned": {"method": "dpsgd", "tuning": {"factors": [0.5, 1.0]}},
}  # fmt: skip
CASES = {
    **{json.dumps(method): {"method": method} for method in METHODS},
    **{f"matching {json.dumps(each)}": {"method": "dimat", "matching": each} for each in MATCHINGS},
    **{f"calibration {json.dumps(each)}": {"method": "dimat", "calibration": each} for each in CALIBRATIONS},
    **OTHERS,
}


def study_with(changes):
    content = copy.deepcopy(SMALL)
    content["data"] |= {"train_limit": 40, "test_limit": 20, "flip": True, "crop": 1}
    content["calibration"] = {"limit": 20}
    content["training"] |= {"pretrain_epochs": 1, "rounds": 2, "batch_size": 10}
    return content | {"checkpoint_seconds": 1000} | changes


def carried_out(content, folder):
    """Every step of a study; the runner."""
    runner = open_runner(content, folder)
    for start in runner.study.pretrained.values():
        runner.pretrain(start)
    for tuned in runner.study.tuned.values():
        runner.tune(tuned)
    for run in runner.study.runs.values():
        runner.train(run)
    return runner


def records(runner):
    return {id: runner.layout.run(id).read_bytes() for id in runner.study.runs}


def dense():
    """On the CPU, sums over neighbours round as dense products do, which they are on other devices."""
    return mock.patch("dimat.communication.product._sparse", lambda matrix: matrix)


OFTEN = {
    *(json.dumps({"name": name}) for name in known_methods),
    f"matching {json.dumps(MATCHINGS[5])}",
    f"matching {json.dumps(MATCHINGS[6])}",
    f"calibration {json.dumps(CALIBRATIONS[3])}",
    "residual",
    "tuned",
}
"""Cases that each run of the tests has; all others take minutes more (`make test-device`)."""


@pytest.mark.parametrize("case", CASES)
def test_records_are_those_of_the_cpu(case, tmp_path, long):
    if not long and case not in OFTEN:
        pytest.skip("a case of make test-device")
    content = study_with(CASES[case])
    with dense():
        expected = records(carried_out(content, tmp_path / "cpu"))
    with pretend_device("dimat.experiment.runner.choose_device") as device:
        found = carried_out(content, tmp_path / "device")
    assert records(found) == expected
    assert device.counted["operations"] > 500
    assert_nothing_left_over(found.layout)


@pytest.mark.parametrize(
    ("method", "then"),
    [
        ("dimat", "device"),
        ("cga", "device"),
        ("swarm_sgd", "cpu"),
        ({"name": "dimat", "optimizer": "momentum"}, "cpu"),
    ],
)
def test_a_run_goes_on_from_its_checkpoint_on_any_device(method, then, tmp_path, monkeypatch):
    kept = {"rounds": 3, "batch_size": 10, "pretrain_epochs": 1, "optimizer_state": "kept"}
    content = study_with({"method": method, "training": SMALL["training"] | kept})
    with dense():
        expected = records(carried_out(content, tmp_path / "cpu"))
    with ExitStack() as there:
        there.enter_context(dense())
        there.enter_context(pretend_device("dimat.experiment.runner.choose_device"))
        with monkeypatch.context() as asked:
            asked.setattr(runners, "asked_to_leave", lambda *_: True)
            with pytest.raises(Interrupted, match="after round 1"):
                carried_out(content, tmp_path / "left")
        if then == "device":
            found = records(finished(content, tmp_path / "left"))
    if then == "cpu":
        with dense():
            found = records(finished(content, tmp_path / "left"))
    assert found == expected


def finished(content, folder):
    """The run of a study that was left."""
    runner = open_runner(content, folder)
    for run in runner.study.runs.values():
        runner.train(run)
    return runner


@pytest.mark.parametrize("matcher", ["activation", "weight", "activation-weight", None])
@pytest.mark.parametrize("repair", ["recalibrate", "repair"])
def test_given_networks_are_merged_where_they_lie(matcher, repair, randomize, assert_same):
    images = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    models = [randomize(Plain(widths=(4, 5)).build(1, 3), seed) for seed in range(3)]
    expected = dimat.merge(models, images, matcher=matcher, repair=repair)
    with pretend_device():
        there = [copy.deepcopy(model).to("meta") for model in models]
        found = dimat.merge(there, images, matcher=matcher, repair=repair)
        assert_same(expected.model.state_dict(), found.model.state_dict())
    assert (expected.objective, expected.objective_in_place) == (found.objective, found.objective_in_place)
    for one, other in zip(expected.permutations, found.permutations, strict=True):
        assert_same(one, other)
