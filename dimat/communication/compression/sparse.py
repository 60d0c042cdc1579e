"""Some entries of a vector, and zero for all others."""

import math
from functools import lru_cache
from typing import Annotated, Literal

import numpy
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from dimat.communication.communicator import Message
from dimat.communication.compression.compressor import Compressor

Share = Annotated[float, Field(gt=0, le=1)]


def entries(share: float, size: int) -> int:
    """How many of ``size`` entries a ``share`` is, at least one."""
    return max(1, math.ceil(share * size))


class TopK(Compressor):
    """The entries of largest magnitude, with a 32-bit index each: delta is at least their share."""

    name: Literal["top_k"] = "top_k"
    share: Share = 0.1
    """Share of the entries that are sent, at least one."""

    @override
    def compress(self, vector: Tensor, seed: int) -> Message:
        found = vector.abs().topk(entries(self.share, len(vector)), sorted=False).indices
        return {"indices": found.to(torch.int32), "values": vector[found]}

    @override
    def decompress(self, message: Message, like: Tensor) -> Tensor:
        assert not isinstance(message, Tensor)
        return torch.zeros_like(like).index_copy_(0, message["indices"].long(), message["values"])


class RandomK(Compressor):
    """Entries drawn at random, and the seed (8 bytes) by which the receiver draws them: delta is their share.

    They are sent as they are, not scaled up, so that Q contracts.
    """

    name: Literal["random_k"] = "random_k"
    share: Share = 0.1
    """Share of the entries that are sent, at least one."""

    @override
    def compress(self, vector: Tensor, seed: int) -> Message:
        found = drawn(seed, len(vector), entries(self.share, len(vector)), vector.device)
        return {"seed": torch.tensor([seed]), "values": vector[found]}

    @override
    def decompress(self, message: Message, like: Tensor) -> Tensor:
        assert not isinstance(message, Tensor)
        values = message["values"]
        found = drawn(int(message["seed"]), len(like), len(values), like.device)
        return torch.zeros_like(like).index_copy_(0, found, values)


@lru_cache(maxsize=64)
def drawn(seed: int, size: int, count: int, device: torch.device) -> Tensor:
    """Indices of ``count`` of ``size`` entries (count,), which sender and receivers draw alike."""
    found = numpy.random.default_rng(seed).choice(size, count, replace=False, shuffle=False)
    return torch.from_numpy(found).to(device, non_blocking=True)
