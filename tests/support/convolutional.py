"""A small network with a grouped convolution, batch normalization, and channels that are flattened."""

import torch
from torch import nn

SHAPE = (3, 4, 4)
"""Of an image that `network` takes."""


def network(seed, groups=1):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 24, 2, groups=groups), nn.ReLU(),
        nn.Flatten(), nn.Linear(24, 4),
    ).eval()  # fmt: skip
