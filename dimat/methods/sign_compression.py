"""Scaled signs: one bit a number, and one scale (Karimireddy, Rebjock, Stich and Jaggi 2019)."""

import numpy
import torch
from torch import Tensor


def compress(vector: Tensor) -> Tensor:
    """Signs of ``vector`` (d,) and its mean magnitude, as bytes (ceil(d / 8) + 4,)."""
    signs = numpy.packbits((vector > 0).cpu().numpy())
    scale = vector.abs().mean().float().cpu().reshape(1)
    return torch.cat([torch.from_numpy(signs), scale.view(torch.uint8)])


def decompress(message: Tensor, like: Tensor) -> Tensor:
    """What `compress` kept of a vector like ``like`` (d,)."""
    signs = numpy.unpackbits(message[:-4].numpy(), count=len(like))
    scale = message[-4:].clone().view(torch.float32)
    return (torch.from_numpy(signs).to(like) * 2 - 1) * scale.to(like)
