"""The pipeline on a real Slurm of one node, and what clusters do to jobs. Run by `make test-slurm`."""

import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from dimat.experiment.reading import parse_study

PROJECT = Path(__file__).parents[2]
CLUSTER = PROJECT / "tests" / "slurm" / "cluster.sh"
ROOT = Path(os.environ.get("DIMAT_SLURM", "/nowhere"))
FOLDERS = ("config", "dimat", "paper", "theory", "workflow")
SMALL = {
    "name": "study",
    "data": {"name": "digits", "train_limit": 400, "test_limit": 100},
    "model": {"name": "plain", "widths": [4, 6]},
    "partition": ["iid", "classes"],
    "graph": "ring",
    "agents": 2,
    "method": ["dimat", "wa", "dpsgd"],
    "seeds": 0,
    "training": {"pretrain_epochs": 2, "rounds": 3, "epochs": 1},
}
QUICK = yaml.safe_load((PROJECT / "config" / "quick.yaml").read_text()) | {"name": "study", "seeds": 0}
"""The default study, of one seed: the others are more of the same."""
LONG = SMALL | {
    "partition": "iid",
    "method": "dpsgd",
    "checkpoint_seconds": 1000,  # no checkpoint but those of signals
    "training": {"pretrain_epochs": 1, "rounds": 40, "epochs": 4, "batch_size": 25},
}
ALONE = ("--group-components", "pretrain=1", "train=1")

pytestmark = pytest.mark.skipif("DIMAT_SLURM" not in os.environ, reason="made for make test-slurm")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """The cluster, started and stopped."""
    subprocess.run([CLUSTER, "up"], check=True)
    yield
    subprocess.run([CLUSTER, "down"], check=True)


ENVIRONMENT = os.environ | {
    "SLURM_CONF": str(ROOT / "slurm.conf"),
    "PATH": f"{ROOT / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
}


def slurm(*command):
    """What a command of Slurm prints."""
    return subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout


class Pipeline:
    """A copy of the project in which Snakemake runs a study."""

    def __init__(self, folder, study):
        self.folder = folder
        for name in FOLDERS:
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PROJECT / name, folder / name, symlinks=True, ignore=ignore)
        (folder / "slurm").symlink_to("workflow/profiles/slurm")
        (folder / "profiles").symlink_to("workflow/profiles")
        for name in ("Snakefile", "environment.yml"):
            shutil.copy(PROJECT / name, folder / name)
        (folder / "study.yaml").write_text(yaml.safe_dump(study))
        self.results = folder / "results" / study["name"]
        self.said = folder / "said"

    def start(self, *options, target="results/study/records.csv"):
        command = [sys.executable, "-m", "snakemake", "--cores", "all", "--configfile", "study.yaml"]
        return subprocess.Popen(
            [*command, *options, "--", target],
            cwd=self.folder,
            env=ENVIRONMENT | {"PYTHONPATH": str(self.folder)},
            stdout=self.said.open("a"),
            stderr=subprocess.STDOUT,
        )

    def run(self, *options, **target):
        assert self.start(*options, **target).wait(7200) == 0, self.said.read_text()
        return self.results / "records.csv"

    def submitted(self):
        """The ids of Slurm's jobs, in order."""
        return re.findall(r"submitted with SLURM jobid (\d+)", self.said.read_text())

    def log(self, step):
        """What the job of a step has printed."""
        return "".join(path.read_text() for path in self.results.parent.glob(f"*/logs/{step}/*.log"))

    def resumed(self):
        """How often the runs went on from a checkpoint."""
        made = self.results.parent.glob("shared/runs/*/run.json")
        return sum(json.loads(path.read_text())["resumed"] for path in made)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The records of the long study, made on this machine."""
    return Pipeline(tmp_path_factory.mktemp("undisturbed"), LONG).run().read_bytes()


@pytest.fixture
def pipeline(tmp_path):
    """Makes a pipeline in a folder of its own."""

    def make(name, study):
        (tmp_path / name).mkdir()
        return Pipeline(tmp_path / name, study)

    return make


def wait_until(condition, process, seconds=900):
    """Wait for a condition while a pipeline runs."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the pipeline has ended"
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.2)


@pytest.mark.parametrize("study", [SMALL, QUICK], ids=["small", "quick"])
def test_records_of_the_cluster_are_those_of_this_machine(pipeline, study):
    here, there = pipeline("here", study), pipeline("there", study)
    records = here.run().read_bytes()
    began = time.monotonic()
    assert there.run("--profile", "slurm").read_bytes() == records
    jobs = there.submitted()
    print(f"{len(jobs)} jobs of Slurm in {time.monotonic() - began:.0f} s")
    assert len(list(csv.reader((here.results / "records.csv").open()))) > 100
    plan = parse_study(study, "study")
    twelves = sum(math.ceil(len(each) / 12) for each in (plan.pretrained, plan.tuned, plan.runs))
    assert len(jobs) == len(plan.prepared) + 1 + twelves  # data, partitions together, others by the dozen


def disturb(how, job):
    """Do to a job what clusters do."""
    if how == "kill -9 of the step":
        # All of its processes, as at a lack of memory. Slurm's own process of the step is spared: without it
        # nobody notices before the time limit.
        marks = {f"SLURM_JOB_ID={job}".encode(), b"SLURM_STEP_ID=0"}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                found = marks <= set((folder / "environ").read_bytes().split(b"\0"))
            except OSError:
                continue
            if found:
                os.kill(int(folder.name), signal.SIGKILL)
        return
    if how == "requeue":
        slurm("scontrol", "requeue", job)
    else:
        slurm("scancel", f"--signal={how}", job)


@pytest.mark.parametrize("how", ["USR1", "TERM", "requeue", "kill -9 of the step"])
def test_a_disturbed_job_goes_on(pipeline, undisturbed, how):
    # A killed job has no time to write a checkpoint: it goes on from its last one.
    there = pipeline("there", LONG | {"checkpoint_seconds": 0} if how.startswith("kill") else LONG)
    process = there.start("--profile", "slurm", *ALONE)
    wait_until(lambda: "round 10 of" in there.log("train"), process)
    before = len(there.submitted())
    disturb(how, there.submitted()[-1])
    assert process.wait(900) == 0, there.said.read_text()
    assert (there.results / "records.csv").read_bytes() == undisturbed
    assert there.resumed() == 1
    # Slurm puts a requeued job back by itself; others are submitted again.
    assert len(there.submitted()) - before == (how != "requeue")


def test_a_job_that_needs_longer_than_its_limit_goes_on(pipeline):
    study = LONG | {"training": LONG["training"] | {"epochs": 40, "rounds": 60}}
    here, there = pipeline("here", study), pipeline("there", study)
    records = here.run().read_bytes()
    # Asked to leave after 80 seconds, of which a busy machine may need half to start.
    resources = ("train:runtime=3", "train:mem_mb=2000", "train:slurm_extra='--signal=USR1@100'")
    limit = ("--set-resources", *resources, "--retries", "20")
    assert there.run("--profile", "slurm", *ALONE, *limit).read_bytes() == records
    assert there.resumed() >= 1


def test_two_tasks_of_one_run(pipeline):
    study = LONG | {"communication": "ranks"}
    here, there = pipeline("here", study), pipeline("there", study)
    records = here.run().read_bytes()
    process = there.start("--profile", "slurm", *ALONE)
    wait_until(lambda: "round 10 of" in there.log("train"), process)
    job = there.submitted()[-1]
    assert "NumTasks=2" in slurm("scontrol", "show", "job", job)
    slurm("scancel", "--signal=TERM", job)
    assert process.wait(900) == 0, there.said.read_text()
    assert (there.results / "records.csv").read_bytes() == records
    assert there.resumed() == 1


def test_a_job_sees_the_gpu_that_it_was_given():
    """Two devices that Slurm takes for GPUs: each of two jobs at a time gets another one."""
    program = "import os, time, dimat.experiment.devices as d; time.sleep(3); print(d.visible(os.environ, 1))"
    command = ["srun", "--gpus=1", "--mem=500", sys.executable, "-c", program]
    options = {"cwd": PROJECT, "env": ENVIRONMENT, "stdout": subprocess.PIPE, "text": True}
    jobs = [subprocess.Popen(command, **options) for _ in range(2)]
    assert {job.communicate(timeout=120)[0] for job in jobs} == {"['0']\n", "['1']\n"}
    none = slurm("srun", "--mem=500", sys.executable, "-c", program.replace("time.sleep(3)", "0"))
    assert none == "[]\n"
