"""Images turned about their centre."""

import math

import torch
from torch import Tensor
from torch.nn import functional

TURNED = 1000
"""Images that are turned at once."""


def turned(images: Tensor, degrees: float) -> Tensor:
    """uint8 ``images`` (n, channels, height, width), turned counter-clockwise; black where nothing was.

    Bilinear, rounded to whole levels; quarter turns of square images only move pixels.
    """
    if degrees % 360 == 0:
        return images
    height, width = images.shape[2:]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # Where each pixel comes from, in coordinates from -1 to 1 along both sides.
    back = torch.tensor([[cosine, -sine * height / width, 0], [sine * width / height, cosine, 0]])
    grid = functional.affine_grid(back[None], [1, 1, height, width], align_corners=False).to(images.device)
    parts = [
        functional.grid_sample(part.float(), grid.expand(len(part), -1, -1, -1), align_corners=False)
        for part in images.split(TURNED)
    ]
    return torch.cat(parts).round_().to(torch.uint8)
