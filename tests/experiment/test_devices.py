"""A job computes on the GPU that it was given. None is needed here: numbers are shared out, not devices."""

import multiprocessing
import os
import signal
import time
from itertools import pairwise

import pytest
import torch

from dimat.experiment.devices import claim, in_slurm, number_of_process, prepare_device, visible


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


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"LOCAL_RANK": "3"}, 3),
        ({"SLURM_JOB_ID": "7", "SLURM_LOCALID": "2"}, 2),
        ({"SLURM_JOB_ID": "7", "SLURM_LOCALID": "0", "LOCAL_RANK": "1"}, 1),  # torchrun inside of a job
    ],
)
def test_processes_of_a_job_are_told_apart_by_their_place_on_the_machine(environment, expected):
    assert number_of_process(environment) == expected


@pytest.fixture
def settings_of_torch(monkeypatch):
    """What `prepare_device` has set; as before afterwards."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    cudnn, memory = torch.backends.cudnn, torch.utils.deterministic
    before = (
        torch.are_deterministic_algorithms_enabled(),
        memory.fill_uninitialized_memory,
        cudnn.deterministic,
        cudnn.benchmark,
    )
    yield lambda: (
        torch.are_deterministic_algorithms_enabled(),
        cudnn.deterministic,
        cudnn.benchmark,
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )
    torch.use_deterministic_algorithms(before[0])
    memory.fill_uninitialized_memory, cudnn.deterministic, cudnn.benchmark = before[1:]
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def test_one_setting_makes_all_of_a_gpu_deterministic_or_nothing(settings_of_torch, monkeypatch):
    gpu = torch.device("cuda", 0)  # settings need none to be there
    unset = settings_of_torch()
    prepare_device(torch.device("cpu"), deterministic=True)
    assert settings_of_torch() == unset
    prepare_device(gpu, deterministic=False)
    assert settings_of_torch() == (False, False, True, None)
    prepare_device(gpu, deterministic=True)
    assert settings_of_torch() == (True, True, False, ":4096:8")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    prepare_device(gpu, deterministic=True)
    assert settings_of_torch()[-1] == ":16:8"
