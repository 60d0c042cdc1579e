"""Which device a job computes on: the GPU that it was given, and no other.

Slurm gives a job its GPUs, in CUDA_VISIBLE_DEVICES. Elsewhere the jobs of a machine share its GPUs out among
themselves: each holds the lock of one for as long as it runs, and waits while none is free.
"""

import fcntl
import logging
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import torch

from dimat.errors import InputError

log = logging.getLogger("dimat")


@cache  # a job asks several times, and has one answer
def choose_device(wanted: str, locks: Path | None = None) -> torch.device:
    """The torch device for `auto`, `cpu` or `cuda`; ``locks`` is a folder; `None` locks nothing."""
    if wanted == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = visible(os.environ, count)
    if not names:
        if wanted == "cuda":
            why = "Slurm gave this job none" if in_slurm(os.environ) and count else "torch sees no GPU"
            raise InputError(f"device: 'cuda' was asked for, but {why}; expected auto, cpu")
        return torch.device("cpu")
    if (number := number_of_process(os.environ)) is not None:
        return torch.device("cuda", number % len(names))
    if in_slurm(os.environ) or locks is None:
        return torch.device("cuda", 0)
    return torch.device("cuda", claim(names, locks))


def number_of_process(environment: Mapping[str, str]) -> int | None:
    """Which of the processes of a job on this machine this is: each takes another of the job's GPUs."""
    number = environment.get("LOCAL_RANK", environment.get("SLURM_LOCALID"))
    return None if number is None else int(number)


def in_slurm(environment: Mapping[str, str]) -> bool:
    """Whether this process belongs to a job of Slurm."""
    return "SLURM_JOB_ID" in environment


def prepare_device(device: torch.device, deterministic: bool) -> None:
    """Let a GPU take algorithms that give the same bits each time, or whichever are fastest.

    Either way, what is to be computed in float32 is: by default convolutions would round to TF32. This must
    come before the first product on it. CPUs give the same bits anyway.
    """
    if device.type != "cuda":
        return
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may choose by its workspace
    torch.use_deterministic_algorithms(deterministic)
    # Nothing here reads what it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = not deterministic


def visible(environment: Mapping[str, str], count: int) -> list[str]:
    """Names of the GPUs that this job may use, in torch's order, of the ``count`` that torch sees.

    A job of Slurm without CUDA_VISIBLE_DEVICES was given none, even where nothing keeps it from using them.
    """
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return [] if in_slurm(environment) else [str(number) for number in range(count)]
    return [name.strip() for name in listed.split(",")][:count]


def claim(names: Sequence[str], locks: Path, seconds: float = 1.0) -> int:
    """Wait until one of the GPUs is free, looking again after ``seconds``; its index.

    The lock is that of the operating system: it ends with this process, however that ends.
    """
    locks.mkdir(parents=True, exist_ok=True)
    host = socket.gethostname()
    paths = [locks / f"{host}-{re.sub('[^A-Za-z0-9-]', '-', name)}.lock" for name in names]
    told = False
    while True:
        for index, path in enumerate(paths):
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return index  # the lock stays open, and held, as long as this process
        if not told:
            log.info("all %d GPUs are in use by other jobs; waiting for one", len(names))
            told = True
        time.sleep(seconds)
