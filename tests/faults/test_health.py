"""A long run holds no more memory and no more open files than a short one."""

import gc
import logging
import resource
from pathlib import Path

import numpy
import pytest
import torch
from scipy import stats
from support.jobs import only_run, only_start, open_runner

ROUNDS = 200
BLOCK = 20
"""Rounds whose mean is one point: single rounds are not independent of each other."""


def resident():
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def tensors():
    """Bytes of all tensors that there are."""
    gc.collect()
    found = [thing for thing in gc.get_objects() if isinstance(thing, torch.Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in found)


def slope(rounds, values):
    """Growth in each round with its 95 % interval, of the means of blocks."""
    blocks = numpy.array(values).reshape(-1, BLOCK).mean(1)
    if numpy.ptp(blocks) == 0:
        return 0.0, 0.0, 0.0  # to the byte, for which a regression has no error
    fit = stats.linregress(numpy.array(rounds).reshape(-1, BLOCK).mean(1), blocks)
    half = stats.t.ppf(0.975, len(blocks) - 2) * fit.stderr
    return fit.slope, fit.slope - half, fit.slope + half


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("method", ["dimat", {"name": "dpsgd", "momentum": 0.9}], ids=str)
def test_memory_and_open_files_stay_as_they_are(tmp_path, small, long, method):
    if not long:
        pytest.skip(f"{ROUNDS} rounds take a minute; part of make test-faults")
    small["training"] |= {"rounds": ROUNDS, "pretrain_epochs": 1}
    small |= {"method": method, "model": {"name": "plain", "widths": [32, 64]}, "checkpoint_seconds": 5}
    runner = open_runner(small, tmp_path)
    runner.pretrain(only_start(runner))
    memory, handles, alive = [], [], []

    def sample(record):
        if "merged" in record.getMessage():
            memory.append(resident())
            alive.append(tensors())
            handles.append(len(list(Path("/proc/self/fd").iterdir())))
        return True

    logger = logging.getLogger("dimat")
    logger.setLevel(logging.INFO)
    logger.addFilter(sample)
    try:
        runner.train(only_run(runner))
    finally:
        logger.removeFilter(sample)
    assert len(memory) == ROUNDS
    rounds = numpy.arange(ROUNDS)[2 * BLOCK :]  # pools are filled at first
    growth, low, high = slope(rounds, memory[2 * BLOCK :])
    network = 4 * (32 * 9 + 32 * 64 * 9 + 64 * 10)  # bytes of the weights of one agent
    print(f"{growth / 1024:.2f} KiB in each round [{low / 1024:.2f}, {high / 1024:.2f}] with {method}")
    # What grows are the records, some KiB in each round; a network or its gradients would be more.
    assert high < network
    assert max(alive[ROUNDS // 2 :]) <= max(alive[: ROUNDS // 2])
    assert len(set(handles[1:])) == 1
