"""The pipeline under Snakemake: killed, started twice, and in a folder that cannot be written."""

import os
import signal
import subprocess
import sys
import time

import pytest
from support.faults import comparable
from support.mounting import mount
from support.pipeline import PROJECT, Pipeline
from support.pipeline import STUDY as WORKFLOW_STUDY

TOLD = (PROJECT / "docs" / "reproducibility.md").read_text()
TRAINING = ("--until", "collect")
"""The audit and the paper take minutes."""
STUDY = WORKFLOW_STUDY | {
    "method": "dimat",
    "checkpoint_seconds": 0,
    "training": {"pretrain_epochs": 1, "rounds": 400, "epochs": 1},
}
"""Long enough for a second pipeline to be started meanwhile."""


@pytest.fixture
def pipeline(tmp_path, long):
    if not long:
        pytest.skip("a pipeline takes half a minute; part of make test-faults")
    pipeline = Pipeline(tmp_path)
    pipeline.configure(STUDY)
    return pipeline


def start(pipeline):
    """The pipeline as a process group of its own."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "small.yaml", *TRAINING]
    with (pipeline.folder / "log").open("w") as log:
        return subprocess.Popen(
            command, cwd=pipeline.folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def wait_for(found, process):
    while not found() and process.poll() is None:
        time.sleep(0.02)


def records(pipeline):
    results = pipeline.results.parent
    return {
        path.relative_to(results): comparable(path)
        for path in results.rglob("*")
        if path.is_file() and "logs" not in path.parts and path.suffix != ".pdf"
    }


def test_a_killed_pipeline_says_how_it_goes_on(pipeline, tmp_path_factory):
    undisturbed = Pipeline(tmp_path_factory.mktemp("undisturbed"))
    undisturbed.configure(STUDY)
    done = undisturbed(*TRAINING)
    assert done.returncode == 0, done.stderr

    process = start(pipeline)
    wait_for(lambda: list(pipeline.results.parent.glob("*/checkpoints/*")), process)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() < 0
    refused = pipeline(*TRAINING)
    said = refused.stdout + refused.stderr
    assert refused.returncode == 1 and "--unlock" in said and "Traceback" not in said
    assert "--unlock" in TOLD
    assert pipeline("--unlock").returncode == 0
    done = pipeline(*TRAINING)
    assert done.returncode == 0, done.stdout + done.stderr
    assert records(pipeline) == records(undisturbed)


def test_a_second_pipeline_in_the_same_folder_is_refused(pipeline):
    first = start(pipeline)
    wait_for(lambda: list(pipeline.results.parent.glob("shared/data/*")), first)
    second = pipeline(*TRAINING)
    said = second.stdout + second.stderr
    assert first.poll() is None
    assert second.returncode == 1 and "cannot be locked" in said and "Traceback" not in said
    assert first.wait() == 0, (pipeline.folder / "log").read_text()
    assert pipeline.planned(*TRAINING) == {}


def test_results_that_cannot_be_written(pipeline):
    results = pipeline.folder / "results"
    results.mkdir()
    if why := mount(results, "size=1m,ro"):
        pytest.skip(f"no file system can be mounted here: {why.strip()}")
    try:
        refused = pipeline(*TRAINING)
    finally:
        subprocess.run(["umount", "--lazy", results], check=True)
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert "Read-only file system" in said and "Traceback" not in said
