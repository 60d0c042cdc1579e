"""The arithmetic of networks: the one place that says how forward passes are rounded on a device."""

from contextlib import AbstractContextManager

import torch
from torch import autocast


def arithmetic(device: torch.device, low_precision: bool) -> AbstractContextManager[object]:
    """The context of forward passes on a ``device``: bfloat16 where ``low_precision`` allows it.

    With bfloat16, products are taken of rounded factors and sums stay float32 (automatic mixed precision).
    """
    return autocast(device.type, torch.bfloat16, enabled=low_precision)
