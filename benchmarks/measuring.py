"""Time and memory of this process, and processes that did nothing before."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import torch

from dimat.experiment.throughput import name_of

Result = TypeVar("Result")


def in_fresh_process(function: Callable[..., Result], *arguments: object) -> Result:
    """The function's value, found in a process that did nothing before but to import its module."""
    context = get_context("forkserver")
    context.set_forkserver_preload([function.__module__])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def clock(device: torch.device) -> float:
    """Seconds, when all that was asked of ``device`` is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


class Growth:
    """By how many bytes memory grows: that of the GPU, else that of this process (Linux only, else 0).

    A process's peak is that of its whole life, so this is of use in a fresh one.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats()
        self._before = torch.cuda.memory_allocated() if self._on_gpu else resident("VmRSS")

    def peak(self) -> int:
        """Bytes beyond those at the start, at most so far."""
        reached = torch.cuda.max_memory_allocated() if self._on_gpu else resident("VmHWM")
        return max(reached - self._before, 0)


def resident(entry: str) -> int:
    """Resident bytes of this process: ``VmRSS`` now, ``VmHWM`` at most so far (Linux only, else 0)."""
    status = Path("/proc/self/status")
    if not sys.platform.startswith("linux"):
        return 0
    (line,) = (line for line in status.read_text().splitlines() if line.startswith(entry))
    return int(line.split()[1]) * 1024


def processor(device: str) -> str:
    """The device's name, and whether a processor has instructions for bfloat16."""
    name = name_of(torch.device(device))
    about = Path("/proc/cpuinfo")
    if device == "cuda" or not about.exists():
        return name
    low = {"avx512_bf16", "amx_bf16"} & set(about.read_text().split())
    return f"{name}, {'with' if low else 'without'} instructions for bfloat16"
