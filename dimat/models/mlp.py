"""A perceptron with hidden layers, for inputs of few numbers."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from dimat.models.model import SIZE, Model
from dimat.spec import Many

Width = Annotated[int, Field(ge=1, le=4096)]


class Mlp(Model):
    """Linear layers with ReLU in between, on images averaged down to ``side`` x ``side`` pixels, in float64.

    With its defaults and `side` 1 it is the network of Kayaalp, Vlaski and Sayed 2022 for sine waves. A
    message takes 8 bytes for each parameter.
    """

    name: Literal["mlp"] = "mlp"
    side: Annotated[int, Field(ge=1, le=64)] = 8
    """Pixels a side of what the first layer sees; 8x8 digits are seen as they are."""
    widths: Many[Width] = Field(default=(40, 40), min_length=1, max_length=100)
    """Neurons of each hidden layer."""

    @override
    def build(self, channels: int, classes: int, size: tuple[int, int] = SIZE) -> nn.Module:
        return MlpNetwork(channels, self.side, self.widths, classes)


class MlpNetwork(nn.Module):
    """The network that `Mlp` describes."""

    def __init__(self, channels: int, side: int, widths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(side)
        before = channels * side**2
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Linear(before, width, dtype=torch.float64), nn.ReLU()]
            before = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(before, classes, dtype=torch.float64)

    def forward(self, images: Tensor) -> Tensor:
        """Outputs (batch, classes), float64, of images (batch, channels, height, width)."""
        return self.classifier(self.features(self.pool(images).flatten(1).double()))
