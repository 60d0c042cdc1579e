"""A plain convolutional network with batch normalization: the default for small images."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from dimat.models.model import SIZE, Model
from dimat.spec import Many

Width = Annotated[int, Field(ge=1, le=4096)]


class Plain(Model):
    """3x3 convolution, batch normalization and ReLU for each width, then a linear layer.

    Convolutions have stride 2 from the second on; global average pooling comes before the linear layer.
    """

    name: Literal["plain"] = "plain"
    widths: Many[Width] = Field(default=(16, 32, 32), min_length=1, max_length=100)
    """Channels of each convolution."""

    @override
    def build(self, channels: int, classes: int, size: tuple[int, int] = SIZE) -> nn.Module:
        return PlainNetwork(channels, self.widths, classes)


class PlainNetwork(nn.Module):
    """The network that `Plain` describes."""

    def __init__(self, channels: int, widths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for depth, (before, after) in enumerate(zip((channels, *widths), widths, strict=False)):
            stride = 1 if depth == 0 else 2
            layers += [
                nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, height, width)."""
        return self.classifier(self.pool(self.features(images)).flatten(1))
