"""Scaled signs: one bit a number, and one scale (Karimireddy, Rebjock, Stich and Jaggi 2019)."""

from collections.abc import Sequence

import numpy
import torch
from torch import Tensor


def compress(vector: Tensor, sizes: Sequence[int]) -> Tensor:
    """Signs of ``vector`` (d,), and the mean magnitude of each of its parts of ``sizes`` (p), in order.

    They are bytes: (ceil(d / 8) + 4 p,).
    """
    signs = numpy.packbits((vector > 0).cpu().numpy())
    scales = torch.stack([part.abs().mean().float() for part in vector.split(list(sizes))]).cpu()
    return torch.cat([torch.from_numpy(signs), scales.view(torch.uint8)])


def decompress(message: Tensor, sizes: Sequence[int], like: Tensor) -> Tensor:
    """What `compress` kept of a vector like ``like`` (d,)."""
    places = 4 * len(sizes)
    signs = numpy.unpackbits(message[:-places].numpy(), count=len(like))
    scales = message[-places:].clone().view(torch.float32).to(like)
    spread = scales.repeat_interleave(torch.tensor(list(sizes), device=like.device))
    return (torch.from_numpy(signs).to(like) * 2 - 1) * spread
