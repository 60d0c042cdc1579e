"""Random flips and crops on whole batches of uint8 images, drawn afresh for every access."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """Horizontal flips with probability 1/2 and random crops after zero padding by ``crop`` pixels."""

    flip: bool
    crop: int

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Random numbers for ``count`` images: (count, 3) of [flipped, top, left], on the CPU.

        They are the same whatever device the images lie on; whoever applies them sends them there.
        """
        flipped = torch.randint(2 if self.flip else 1, (count, 1), generator=generator)
        corner = torch.randint(2 * self.crop + 1, (count, 2), generator=generator)
        return torch.cat([flipped, corner], dim=1)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Augmented uint8 images (batch, channels, height, width), laid out channels last.

        ``draws`` (batch, 3) lie on the device of ``images``.
        """
        if not (self.flip or self.crop):
            return images
        height, width = images.shape[2:]
        flipped, top, left = draws.unbind(1)
        rows = torch.arange(height, device=images.device) + top[:, None]
        forward = torch.arange(width, device=images.device)
        columns = torch.where(flipped[:, None] == 1, forward.flip(0), forward) + left[:, None]
        padded = functional.pad(images, [self.crop] * 4).permute(0, 2, 3, 1)
        batch = torch.arange(len(images), device=images.device)
        return padded[batch[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
