"""Softmax regression: one linear layer on pixels, whose loss is convex."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from dimat.models.model import SIZE, Model


class Linear(Model):
    """One linear layer on images averaged down to ``side`` x ``side`` pixels, without hidden neurons.

    Its training loss is convex, and with weight decay has one minimizer (see the measure `optimum`). It
    computes in float64, so that distances to it can be followed down to round-off: a message takes 8 bytes
    for each parameter.
    """

    name: Literal["linear"] = "linear"
    convex: ClassVar[bool] = True
    side: Annotated[int, Field(ge=1, le=64)] = 8
    """Pixels a side of what the layer sees; 8x8 digits are seen as they are."""

    @override
    def build(self, channels: int, classes: int, size: tuple[int, int] = SIZE) -> nn.Module:
        return LinearNetwork(channels, self.side, classes)


class LinearNetwork(nn.Module):
    """The network that `Linear` describes."""

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(side)
        self.classifier = nn.Linear(channels * side**2, classes, dtype=torch.float64)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes), float64, of images (batch, channels, height, width)."""
        return self.classifier(self.pool(images).flatten(1).double())
