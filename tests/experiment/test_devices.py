"""A job computes on the GPU that it was given. None is needed here: numbers are shared out, not devices."""

import multiprocessing
import os
import signal
import time
from itertools import pairwise

import pytest

from dimat.experiment.devices import claim, in_slurm, visible


def hold(names, locks, seconds, held):
    """A job: claims a GPU, reports it, keeps it for some time."""
    index = claim(names, locks, 0.01)
    began = time.monotonic()
    time.sleep(seconds)
    held.put((index, began, time.monotonic()))


@pytest.fixture
def jobs():
    """Starts jobs in processes of their own."""
    context = multiprocessing.get_context("fork")
    held = context.Queue()
    started = []

    def start(*arguments):
        process = context.Process(target=hold, args=(*arguments, held))
        process.start()
        started.append(process)
        return process

    yield start, held
    for process in started:
        process.kill()
        process.join()


def test_jobs_share_out_gpus_and_never_share_one(tmp_path, jobs):
    start, held = jobs
    for _ in range(9):
        start(["0", "1", "2"], tmp_path / "gpus", 0.2)
    spans = [held.get(timeout=60) for _ in range(9)]
    assert {index for index, _, _ in spans} == {0, 1, 2}
    for index in range(3):
        own = sorted(span[1:] for span in spans if span[0] == index)
        assert all(ended <= began for (_, ended), (began, _) in pairwise(own)), own
    assert any(
        sum(began <= moment < ended for _, began, ended in spans) > 1 for _, moment, _ in spans
    )  # several at once, on different ones


def test_a_killed_job_gives_its_gpu_back(tmp_path, jobs):
    start, held = jobs
    first = start(["0"], tmp_path, 600)
    end = time.monotonic() + 30
    while not list(tmp_path.glob("*.lock")) and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.1)
    start(["0"], tmp_path, 0)
    time.sleep(0.3)
    assert held.empty()
    os.kill(first.pid, signal.SIGKILL)
    assert held.get(timeout=30)[0] == 0


def test_a_subset_is_told_apart_by_the_names_of_its_gpus(tmp_path, jobs):
    """CUDA_VISIBLE_DEVICES=1,2 and =2,3: GPU 2 is the second of one job's, and the first of the other's."""
    start, held = jobs
    start(["2"], tmp_path, 600)
    end = time.monotonic() + 30
    while not list(tmp_path.glob("*-2.lock")) and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.1)
    start(["2", "3"], tmp_path, 0)
    assert held.get(timeout=30)[0] == 1


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["0", "1", "2", "3"]),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, ["2", "3"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"SLURM_JOB_ID": "7"}, []),  # torch may see them, but none was given
        ({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "1"}, ["1"]),
    ],
)
def test_the_gpus_of_a_job(environment, expected):
    seen = len(environment["CUDA_VISIBLE_DEVICES"].split(",")) if "CUDA_VISIBLE_DEVICES" in environment else 4
    if environment.get("CUDA_VISIBLE_DEVICES") == "":
        seen = 0
    assert visible(environment, seen) == expected
    assert in_slurm(environment) == ("SLURM_JOB_ID" in environment)
