"""One process for each agent: the records of one program, and an end within bounded time when one is lost."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dimat.communication.ranks import launcher_environment

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks")

STUDY = {
    "name": "ranks",
    "data": {"name": "digits", "train_limit": 200, "test_limit": 60},
    "model": {"name": "plain", "widths": [3, 4]},
    "partition": "iid",
    "graph": "ring",
    "agents": 4,
    "seeds": [0],
    "device": "cpu",
    "checkpoint_seconds": 0,
    "training": {"pretrain_epochs": 2, "rounds": 3, "epochs": 1, "batch_size": 25},
}
TESTS = Path(__file__).parents[1]
METHODS = [
    "dimat",
    "wa",
    "wm",
    "dpsgd",
    "sgp",
    {"name": "cga", "compressed": True},
    {
        **{"name": "cga", "compressed": True, "scales": "layer", "own_compressed": True},
        **{"margin": 0.5, "weighted": True, "per_layer": True, "nesterov": True},
    },
    {"name": "swarm_sgd", "normalization": "frozen", "decay": 0.7},
    {"name": "coded_admm", "code": {"name": "cyclic", "nodes": 4, "stragglers": 1}},
    "gradient_tracking",
    {"name": "gradient_tracking", "form": "dsgt"},
    "matcha",
    "final_merge",
    "variance_corrected",
    {"name": "dot_admm", "local_steps": 2},
    {"name": "ist", "local_steps": 1},
    "choco",
    {"name": "choco", "compression": {"name": "quantized", "bucket": 50}},
    {"name": "choco", "compression": "random_k"},
    {"name": "choco", "averaging": "before_telling"},
    "epidemic",
    "diloco",
    "noloco",
    "sparta",
    {"name": "wash", "probability": 0.02},
    {"name": "papa", "every": 3},
    {"name": "k_gt", "local_steps": 3},
]


@pytest.fixture
def launch(tmp_path):
    """Starts a command in ``ranks`` processes; its output goes to a file."""
    started = []

    def start(path, ranks=4, results="results"):
        output = (tmp_path / "output").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "support.ranks", str(ranks), "train", str(path), "--results", results],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def output(tmp_path):
    return (tmp_path / "output").read_text()


def make_start(dimat, path):
    for step in ("prepare", "partition", "pretrain"):
        assert dimat(step, path).returncode == 0


def records(folder):
    """All measured numbers of all runs, by run and everything else that tells them apart."""
    found = {}
    for path in sorted(folder.glob("shared/runs/*/records.csv")):
        for row in csv.DictReader(path.open()):
            value = float(row.pop("value"))
            found[tuple(row.values())] = value
    return found


def assert_same(folder, other):
    one, two = records(folder), records(other)
    assert one.keys() == two.keys()
    assert one
    for key, value in one.items():
        assert two[key] == pytest.approx(value, rel=1e-5, abs=1e-5), key


def test_records_are_those_of_one_program(dimat, launch, write_config, tmp_path):
    images = [{"images": "own"}, {"images": "pooled"}]
    methods = STUDY | {"method": METHODS, "calibration": images[0]}
    common = {"alignment": "consistent", "rematch": "sticky"}
    closer = {"alignment": "consistent", "rematch": "lowers_disagreement"}
    methods["variants"] = [
        {"method": "dimat", "calibration": images[1]},
        {"method": "dimat", "matching": common, "calibration": images},
        {"method": "dimat", "matching": closer},
        {"method": "dimat", "matching": {"matcher": {"name": "activation", "temperature": 0.1}}},
        {
            "task": "auc",
            "data": {"two_classes": {"positive": [3, 4, 5], "share": 0.2}},
            "method": ["dimat", {"name": "coda", "stage_steps": 2, "local_steps": 1}],
        },
        {
            "method": [{"name": "dimat", "coefficients": "median"}, {"name": "dpsgd", "momentum": 0.9}],
            "graph": {"name": "ring", "churn": {"name": "cyclic"}, "bursts": {"share": 0.3, "length": 3}},
            "attack": {"name": "permuted", "agent": 1},
            "measures": ["parts", "mean_model"],
        },
        {
            "method": ["dimat", "wm", "variance_corrected", "dpsgd", "quasi_global"],
            "graph": {"name": "ring", "delays": {"most": 3, "late": 0.7}, "link_failures": 0.2},
            "calibration": images,
        },
        {
            "method": {"name": "teleportation", "active": 3, "momentum": 0.9},
            "graph": {"name": "complete", "link_failures": 0.3},
        },
        {"method": ["dimat", "dpsgd"], "attack": "noise"},
        {"method": ["dimat", "dpsgd"], "measures": ["training_loss", "parts", "mean_model"]},
        {
            "method": {"name": "dimat", "coefficients": {"name": "adamerging", "steps": 3}},
            "matching": common,
            "task": {"name": "rotated", "angles": [0, 30, 60, 90]},
            "training": {"start": "pretrained"},
            "measures": "parts",
        },
    ]
    inside = write_config(methods, "inside.yaml")
    make_start(dimat, inside)
    shutil.copytree(tmp_path / "results", tmp_path / "apart")
    assert dimat("train", inside).returncode == 0
    process = launch(write_config(methods | {"communication": "ranks"}, "apart.yaml"), results="apart")
    assert process.wait(300) == 0, output(tmp_path)
    assert_same(tmp_path / "results", tmp_path / "apart")
    assert not list((tmp_path / "apart" / "shared" / "checkpoints").glob("*"))


def wait_for(path, process, seconds=120):
    end = time.monotonic() + seconds
    while not list(path.parent.glob(path.name)):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSTOP"])
def test_a_lost_rank_ends_the_job_is_named_and_the_job_resumes(
    how, long, dimat, launch, write_config, tmp_path
):
    if how == "SIGKILL" and not long:
        pytest.skip("the launcher sees it; part of make test-faults")
    long = STUDY | {"method": "dpsgd", "training": STUDY["training"] | {"rounds": 20}}
    inside = write_config(long, "inside.yaml")
    make_start(dimat, inside)
    shutil.copytree(tmp_path / "results", tmp_path / "apart")
    assert dimat("train", inside).returncode == 0

    apart = write_config(long | {"communication": {"name": "ranks", "timeout": 5}}, "apart.yaml")
    process = launch(apart, results="apart")
    wait_for(tmp_path / "apart" / "shared" / "checkpoints" / "*.safetensors", process)
    os.kill(int((tmp_path / "rank-2").read_text()), getattr(signal, how))
    assert process.wait(120) != 0
    said = output(tmp_path)
    assert "rank 2" in said or "rank      : 2" in said, said
    if how == "SIGSTOP":
        assert "agent 2 (rank 2) is gone or has not answered agent" in said
    assert not (tmp_path / "apart" / "shared" / "runs").exists()

    process = launch(apart, results="apart")
    assert process.wait(120) == 0, output(tmp_path)
    assert "resumed after round" in output(tmp_path)
    assert_same(tmp_path / "results", tmp_path / "apart")


def test_ranks_need_a_launcher(dimat, write_config, monkeypatch):
    for name in ("RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    path = write_config(STUDY | {"method": "dpsgd", "communication": "ranks"})
    make_start(dimat, path)
    done = dimat("train", path)
    assert done.returncode == 2
    assert "torchrun --nproc-per-node" in done.stderr
    assert done.stderr.count("dimat: error") == 1


def test_as_many_processes_as_agents(dimat, launch, write_config, tmp_path):
    path = write_config(STUDY | {"method": "dpsgd", "communication": "ranks"})
    make_start(dimat, path)
    assert launch(path, ranks=2).wait(120) != 0
    assert "2 processes were started for 4 agents" in output(tmp_path)


def test_what_slurm_says_is_understood():
    slurm = {
        "SLURM_PROCID": "3",
        "SLURM_NTASKS": "4",
        "SLURM_LOCALID": "1",
        "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1",
        "SLURM_JOB_ID": "41",
    }
    assert launcher_environment(slurm) == {
        "RANK": "3",
        "WORLD_SIZE": "4",
        "LOCAL_RANK": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "20041",
    }
    assert launcher_environment(slurm | {"RANK": "0"}) == {}
    assert launcher_environment({}) is None
