"""Work on a GPU that is recorded once and then launched as a whole: CUDA graphs.

A step of a small network is hundreds of short kernels, and launching each takes longer than its work. A graph
of them is one launch. What is recorded reads and writes the same memory each time it is replayed, so samples
are copied to where the recorded ones lie.
"""

import gc
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.cuda import _POOL_HANDLE

Sample = tuple[Tensor, ...]
WARM = 3
"""Calls before a recording, in which libraries choose their kernels and allocate what they keep."""
OFTEN = 8
"""Calls with samples of one shape before that shape is worth a recording."""


class Recording:
    """A ``function`` of a sample, as the GPU's current stream did it for a first one.

    It must not wait for the device. `replay` gives the tensor that the function returned, filled anew.
    """

    def __init__(self, function: Callable[[Any], Any], sample: Sample, pool: "_POOL_HANDLE") -> None:
        self._held = copied(sample)
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM):
                function(self._held)
        torch.cuda.current_stream().wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with uncollected(), torch.cuda.graph(self._graph, pool=pool):
            self._result = function(self._held)

    def replay(self, sample: Sample) -> Any:
        """The function's value for a sample of the recorded shapes; the next replay overwrites it."""
        for held, given in zip(self._held, sample, strict=True):
            held.copy_(given)
        self._graph.replay()
        return self._result


class Recorded:
    """Calls functions of samples, and records those that are called often.

    Recording calls a function a few times, and puts back what it changed: the tensors that are ``kept``.
    """

    def __init__(self) -> None:
        self._calls: Counter[Hashable] = Counter()
        self._recordings: dict[Hashable, Recording] = {}

    @cached_property
    def _pool(self) -> "_POOL_HANDLE":
        """Memory of recordings that are replayed one after the other, and so can share it."""
        return torch.cuda.graph_pool_handle()

    def __call__(
        self,
        name: Hashable,
        function: Callable[[Any], Any],
        sample: Sample,
        kept: Callable[[], Iterable[Tensor]],
    ) -> Any:
        """``function(sample)``; calls of one ``name`` must be of one function."""
        key = (name, *(tensor.shape for tensor in sample))
        if key not in self._recordings:
            self._calls[key] += 1
            if self._calls[key] <= OFTEN:
                return function(sample)
            before = [(tensor, tensor.detach().clone()) for tensor in kept()]
            self._recordings[key] = Recording(function, sample, self._pool)
            with torch.no_grad():
                for tensor, value in before:
                    tensor.copy_(value)
        return self._recordings[key].replay(sample)


@contextmanager
def uncollected() -> Iterator[None]:
    """No cycles are collected meanwhile: freeing what an earlier job has recorded could spoil a recording."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def copied(sample: Sample) -> Sample:
    """The same sample elsewhere in memory, of the same kind of tuple."""
    make = getattr(type(sample), "_make", tuple)
    return make(tensor.clone() for tensor in sample)
