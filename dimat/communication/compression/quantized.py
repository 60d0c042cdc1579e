"""Few bits for an entry, rounded at random (QSGD; Alistarh, Grubic, Li, Tomioka and Vojnovic 2017)."""

from functools import lru_cache
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from dimat.communication.communicator import Message
from dimat.communication.compression.compressor import Compressor


class Quantized(Compressor):
    """Every bucket of entries as its norm (4 bytes) and, for each entry, a sign and one of s levels.

    With s = 2^(bits - 1) - 1, x is sign(x) |bucket| l / s, where l is s |x| / |bucket| rounded up or down at
    random, so that its mean is right. Divided by tau = 1 + min(n / s^2, sqrt(n) / s), for n entries in a
    bucket, Q contracts with delta = 1 / tau (Koloskova, Stich and Jaggi 2019).
    """

    name: Literal["quantized"] = "quantized"
    bits: Literal[2, 4, 8] = 4
    """Bits of an entry, one of which is its sign."""
    bucket: Annotated[int, Field(ge=1, le=10**9)] = 512
    """Entries that share a norm."""

    @property
    def levels(self) -> int:
        """s: the levels above 0."""
        return 2 ** (self.bits - 1) - 1

    def tau(self, size: int) -> float:
        """By how much less is received than was rounded, of vectors of ``size`` entries."""
        n, s = min(self.bucket, size), self.levels
        return 1 + min(n / s**2, n**0.5 / s)

    @override
    def compress(self, vector: Tensor, seed: int) -> Message:
        buckets = in_rows(vector, self.bucket)
        norms = buckets.norm(dim=1).float()
        rounding = in_rows(dither(seed, len(vector), vector.device), self.bucket)
        scaled = self.levels * buckets.abs() / norms.clamp(min=torch.finfo(torch.float32).tiny)[:, None]
        levels = (scaled + rounding).floor().clamp(max=self.levels)
        codes = (levels * buckets.sign() + self.levels).to(torch.uint8).flatten()[: len(vector)]
        per_byte = 8 // self.bits
        parts = functional.pad(codes, (0, -len(codes) % per_byte)).view(-1, per_byte)
        packed = parts[:, 0]
        for place in range(1, per_byte):
            packed = packed * 2**self.bits + parts[:, place]
        return {"norms": norms, "codes": packed}

    @override
    def decompress(self, message: Message, like: Tensor) -> Tensor:
        assert not isinstance(message, Tensor)
        shifts = range(8 - self.bits, -1, -self.bits)
        parts = [message["codes"].bitwise_right_shift(shift) & (2**self.bits - 1) for shift in shifts]
        codes = torch.stack(parts, dim=1).flatten()[: len(like)]
        levels = in_rows(codes.to(like.dtype) - self.levels, self.bucket)
        scale = message["norms"].to(like.dtype) / (self.levels * self.tau(len(like)))
        return (levels * scale[:, None]).flatten()[: len(like)]


def in_rows(vector: Tensor, length: int) -> Tensor:
    """A vector (d,) in rows of ``length`` (or of d, if that is less), the last filled up with zeros."""
    length = min(length, len(vector))
    return functional.pad(vector, (0, -len(vector) % length)).view(-1, length)


@lru_cache(maxsize=1)
def dither(seed: int, size: int, device: torch.device) -> Tensor:
    """By how much levels are raised before they are rounded down (size,), for all who are sent a vector."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(size, generator=generator).to(device, non_blocking=True)
