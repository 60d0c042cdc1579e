"""Whole runs on a second device: nothing is mixed, and every recorded number is that of the CPU."""

import copy
from contextlib import ExitStack
from unittest import mock

import pytest
import torch
from support.device_cases import CASES, OFTEN, records, study_with
from support.jobs import assert_nothing_left_over, carried_out, open_runner
from support.pretend_device import pretend_device
from support.small import SMALL

import dimat
from dimat.experiment import runner as runners
from dimat.experiment.interruption import Interrupted
from dimat.models import Plain

pytestmark = pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")


def dense():
    """On the CPU, sums over neighbours round as dense products do, which they are on other devices."""
    return mock.patch("dimat.communication.product._sparse", lambda matrix: matrix)


@pytest.mark.parametrize("case", CASES)
def test_records_are_those_of_the_cpu(case, tmp_path, long):
    if not long and case not in OFTEN:
        pytest.skip("a case of make test-device")
    content = study_with(CASES[case])
    with dense():
        expected = records(carried_out(content, tmp_path / "cpu"))
    with pretend_device("dimat.experiment.opening.choose_device") as device:
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
        there.enter_context(pretend_device("dimat.experiment.opening.choose_device"))
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
@pytest.mark.parametrize(
    ("repair", "alignment"),
    [("recalibrate", "consistent"), ("repair", "per_edge"), ("least_squares", "universe")],
)
def test_given_networks_are_merged_where_they_lie(matcher, repair, alignment, randomize, assert_same):
    options = {"matcher": matcher, "alignment": alignment, "repair": repair}
    images = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    models = [randomize(Plain(widths=(4, 5)).build(1, 3), seed) for seed in range(3)]
    expected = dimat.merge(models, images, **options)
    with pretend_device():
        there = [copy.deepcopy(model).to("meta") for model in models]
        found = dimat.merge(there, images, **options)
        assert_same(expected.model.state_dict(), found.model.state_dict())
    assert (expected.objective, expected.objective_in_place) == (found.objective, found.objective_in_place)
    for one, other in zip(expected.permutations, found.permutations, strict=True):
        assert_same(one, other)
