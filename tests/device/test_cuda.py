"""On a real GPU: the numbers of the CPU up to round-off, the same bits each time, no waits in steps."""

import copy
import csv
import json
import math
import subprocess
import sys
import warnings

import pytest
import torch
from support.device_cases import CASES, OFTEN, study_with
from support.jobs import carried_out, open_runner
from support.small import SMALL

import dimat
from dimat.agents import recording
from dimat.experiment import runner as runners
from dimat.experiment.devices import prepare_device
from dimat.experiment.interruption import Interrupted
from dimat.models import Plain, ResNet20

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

CLOSE = {"residual": 0.05}
"""How far values may be apart, relative to the larger of 1 and their size, if not 1e-4. Sums are in another
order; in a deep network with few images one channel of 32 is then matched to another."""


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Record at the second call, as these studies take few steps."""
    monkeypatch.setattr(recording, "OFTEN", 1)


def measured(runner):
    """The values of each run, by what they are of."""
    found = {}
    for id in runner.study.runs:
        with runner.layout.run(id).open() as table:
            for row in csv.DictReader(table):
                value = float(row.pop("value"))
                found[tuple(row.values())] = value
    assert found
    return found


def on(device, content, folder, **more):
    return measured(carried_out(content | {"device": device} | more, folder))


@pytest.mark.parametrize("case", CASES)
def test_values_are_those_of_the_cpu_and_of_steps_that_are_not_recorded(case, tmp_path, long):
    if not long and case not in OFTEN:
        pytest.skip("a case of make test-device")
    if "matcha" in case:
        pytest.importorskip("cvxpy", reason="its probabilities come from a semidefinite program")
    content = study_with(CASES[case])
    cpu = on("cpu", content, tmp_path / "cpu")
    recorded = on("cuda", content, tmp_path / "recorded")
    stepwise = on("cuda", content, tmp_path / "stepwise", cuda_graphs=False)
    again = on("cuda", content, tmp_path / "again")
    apart = {key: abs(cpu[key] - recorded[key]) / max(1, abs(cpu[key])) for key in cpu}
    worst = max(apart, key=lambda key: apart[key] if math.isfinite(apart[key]) else math.inf)
    assert recorded == again
    assert recorded == stepwise
    assert apart[worst] <= CLOSE.get(case, 1e-4), worst


@pytest.mark.parametrize("method", ["dimat", "cga", "swarm_sgd", {"name": "dimat", "optimizer": "momentum"}])
def test_a_run_that_was_left_ends_with_the_bits_of_an_undisturbed_one(method, tmp_path, monkeypatch):
    kept = {"rounds": 3, "batch_size": 10, "pretrain_epochs": 1, "optimizer_state": "kept"}
    content = study_with({"method": method, "training": SMALL["training"] | kept, "device": "cuda"})
    expected = measured(carried_out(content, tmp_path / "undisturbed"))
    with monkeypatch.context() as asked:
        asked.setattr(runners, "asked_to_leave", lambda *_: True)
        with pytest.raises(Interrupted, match="after round 1"):
            carried_out(content, tmp_path / "left")
    runner = open_runner(content, tmp_path / "left")
    for run in runner.study.runs.values():
        runner.train(run)
    assert measured(runner) == expected


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_real_networks_train_and_merge(precision, deterministic, tmp_path):
    training = {"rounds": 2, "batch_size": 16, "pretrain_epochs": 2, "precision": precision}
    content = study_with({
        "method": "dimat", "model": {"name": "resnet20", "width": 2}, "training": training,
        "calibration": {"limit": 40, "precision": precision}, "deterministic": deterministic,
    })  # fmt: skip
    assert all(map(math.isfinite, on("cuda", content, tmp_path).values()))


@pytest.mark.parametrize("matcher", ["activation", "weight", "activation-weight", None])
@pytest.mark.parametrize("repair", ["recalibrate", "repair"])
def test_given_networks_are_merged_as_on_the_cpu(matcher, repair, randomize):
    images = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    models = [randomize(Plain(widths=(4, 5)).build(1, 3), seed) for seed in range(3)]
    expected = dimat.merge(models, images, matcher=matcher, repair=repair)
    there = [copy.deepcopy(model).cuda() for model in models]
    found = dimat.merge(there, images.cuda(), matcher=matcher, repair=repair)
    for name, tensor in found.model.state_dict().items():
        assert tensor.is_cuda
        torch.testing.assert_close(tensor.cpu(), expected.model.state_dict()[name], rtol=1e-3, atol=1e-4)
    for one, other in zip(expected.permutations, found.permutations, strict=True):
        for name in one:
            assert torch.equal(one[name], other[name].cpu())


@pytest.mark.parametrize("recorded", [True, False])
def test_local_training_waits_once_an_agent_however_many_steps_it_takes(agents_on, recorded):
    prepare_device(torch.device("cuda"), deterministic=True)
    waits = []
    for epochs in (1, 4):
        agents = agents_on(torch.device("cuda"), epochs=epochs, model=ResNet20(), recorded=recorded)
        for round in (1, 2, 3):  # all shapes are recorded before the third
            waits.append(waits_in(lambda agents=agents, round=round: agents.train(round)))
    assert waits[2] == waits[5] <= agents.agents


def waits_in(action):
    """How often the CPU waited for the GPU."""
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            action()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def test_processes_that_share_a_gpu_give_the_records_of_one_program(tmp_path):
    content = SMALL | {"agents": 4, "device": "cuda", "method": ["dimat", "dpsgd", "sgp"]}
    expected = measured(carried_out(content, tmp_path / "one"))
    runner = open_runner(content, tmp_path / "ranks")
    for start in runner.study.pretrained.values():
        runner.pretrain(start)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content | {"communication": "ranks"}))
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=4"]
    command = [
        sys.executable,
        "-m",
        *launcher,
        "-m",
        "dimat",
        "train",
        str(path),
        "--results",
        str(tmp_path / "ranks"),
    ]
    subprocess.run(command, check=True, timeout=300, cwd=tmp_path)
    assert measured(runner) == pytest.approx(expected, rel=0.02, abs=0.02)
