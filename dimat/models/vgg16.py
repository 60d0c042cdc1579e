"""VGG-16 with batch normalization for small images (Simonyan and Zisserman 2015)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from dimat.models.model import SIZE, Model

LAYOUT = (
    *(64, 64, "pool"),
    *(128, 128, "pool"),
    *(256, 256, 256, "pool"),
    *(512, 512, 512, "pool"),
    *(512, 512, 512, "pool"),
)
"""Channels of each 3x3 convolution, and where maps are halved."""


class Vgg16(Model):
    """Thirteen convolutions (with bias), each with batch normalization and ReLU; one linear layer.

    As published for DIMAT, but with global average pooling before the linear layer, so that images of any
    size from 32x32 on fit; at 32x32 the two are the same.
    """

    smallest: ClassVar[int] = 32
    name: Literal["vgg16"] = "vgg16"
    width: Annotated[float, Field(ge=1 / 64, le=8)] = 1.0
    """Factor on all channel numbers; the published experiments use 1."""

    @override
    def build(self, channels: int, classes: int, size: tuple[int, int] = SIZE) -> nn.Module:
        return Vgg16Network(channels, self.width, classes)


class Vgg16Network(nn.Module):
    """The network that `Vgg16` describes."""

    def __init__(self, channels: int, width: float, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for layer in LAYOUT:
            if isinstance(layer, str):  # a pool
                layers.append(nn.MaxPool2d(2))
            else:
                after = round(layer * width)
                layers += [nn.Conv2d(channels, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
                channels = after
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, height, width)."""
        return self.classifier(self.pool(self.features(images)).flatten(1))
