"""Time and memory of this process, and processes that did nothing before."""

import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import torch

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
    """The GPU's or the processor's name, and whether a processor has instructions for bfloat16."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    about = Path("/proc/cpuinfo")
    known = dict(
        [part.strip() for part in line.split(":", 1)]
        for line in (about.read_text().splitlines() if about.exists() else [])
        if ":" in line
    )
    flags = known.get("flags", "").split()
    low = "with" if {"avx512_bf16", "amx_bf16"} & set(flags) else "without"
    return f"{known.get('model name') or platform.machine()}, {low} instructions for bfloat16"
