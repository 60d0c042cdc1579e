"""Processes that share work."""

import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import torch


def pool_of(count: int, imports: Sequence[str]) -> ProcessPoolExecutor:
    """A pool of so many processes of one thread each, which begin with nothing but the modules ``imports``.

    They are not forked from this one: it may have computed with torch, and GNU's OpenMP would wait for ever
    for threads that exist here and not in a process forked from here.
    """
    if sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*imports])
    else:
        context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, initializer=torch.set_num_threads, initargs=(1,))
