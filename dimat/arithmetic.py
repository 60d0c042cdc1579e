"""The arithmetic of networks: the one place that says how images passed through them are rounded."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import autocast

Precision = Literal["float32", "bfloat16"]


@contextmanager
def arithmetic(device: torch.device, precision: Precision) -> Iterator[None]:
    """Inside, networks on ``device`` compute in ``precision``; their parameters stay as they are.

    ``bfloat16`` is automatic mixed precision, and lets a GPU round the factors of products that stay in
    float32 to TF32.
    """
    low = precision == "bfloat16"
    before = torch.get_float32_matmul_precision()
    if low and device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        # No cache: a network may change between two passes inside.
        with autocast(device.type, torch.bfloat16, enabled=low, cache_enabled=False):
            yield
    finally:
        if low and device.type == "cuda":
            torch.set_float32_matmul_precision(before)


def full_precision(device: torch.device) -> autocast:
    """Inside, sums and products are float32 whatever networks compute in around it."""
    return autocast(device.type, enabled=False)
