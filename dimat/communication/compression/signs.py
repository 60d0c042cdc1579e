"""Scaled signs: one bit a number, and one scale (Karimireddy, Rebjock, Stich and Jaggi 2019)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from dimat.communication.communicator import Message
from dimat.communication.compression.compressor import Compressor


class Signs(Compressor):
    """Signs of all entries, and their mean magnitude: delta is |x|_1^2 / (d |x|_2^2)."""

    name: Literal["signs"] = "signs"

    @override
    def compress(self, vector: Tensor, seed: int) -> Message:
        return compress(vector, [len(vector)])

    @override
    def decompress(self, message: Message, like: Tensor) -> Tensor:
        assert isinstance(message, Tensor)
        return decompress(message, [len(like)], like)


def compress(vector: Tensor, sizes: Sequence[int]) -> Tensor:
    """Signs of ``vector`` (d,), and the mean magnitude of each of its parts of ``sizes`` (p), in order.

    They are bytes on the vector's device: (ceil(d / 8) + 4 p,). The first sign of a byte is its highest bit.
    """
    signs = functional.pad((vector > 0).to(torch.uint8), (0, -len(vector) % 8)).view(-1, 8)
    packed = signs[:, 0]
    for place in range(1, 8):
        packed = packed * 2 + signs[:, place]
    scales = torch.stack([part.abs().mean().float() for part in vector.split(list(sizes))])
    return torch.cat([packed, scales.view(torch.uint8)])


def decompress(message: Tensor, sizes: Sequence[int], like: Tensor) -> Tensor:
    """What `compress` kept of a vector like ``like`` (d,), on whose device the ``message`` lies."""
    places = 4 * len(sizes)
    packed = message[:-places]
    bits = [packed.bitwise_right_shift(7 - place).bitwise_and(1) for place in range(8)]
    signs = torch.stack(bits, dim=1).flatten()[: len(like)]
    scales = message[-places:].clone().view(torch.float32).to(like)
    spread = torch.cat([scale.expand(size) for scale, size in zip(scales, sizes, strict=True)])
    return (signs.to(like) * 2 - 1) * spread
