"""ResNet-20 for small images, with a width factor and the shortcuts of the published experiments."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from dimat.models.model import SIZE, Model


class ResNet20(Model):
    """Three stages of three blocks (He et al. 2016, section 4.2), 16, 32 and 64 channels times ``width``.

    As published for DIMAT, a stage that changes shape projects its shortcut with a 3x3 convolution of
    stride 2 and batch normalization.
    """

    name: Literal["resnet20"] = "resnet20"
    width: Annotated[int, Field(ge=1, le=64)] = 1
    """Factor on all channel numbers; the published experiments use 8."""

    @override
    def build(self, channels: int, classes: int, size: tuple[int, int] = SIZE) -> nn.Module:
        return ResNet20Network(channels, self.width, classes)


class BasicBlock(nn.Module):
    """relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU()
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, before, h, w) to (batch, after, h / stride, w / stride)."""
        inner = self.relu(self.bn1(self.conv1(features)))
        return self.relu(self.bn2(self.conv2(inner)) + self.shortcut(features))


class ResNet20Network(nn.Module):
    """The network that `ResNet20` describes."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        first, second, third = 16 * width, 32 * width, 64 * width
        self.conv1 = nn.Conv2d(channels, first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU()
        self.layer1 = stage(first, first, stride=1)
        self.layer2 = stage(first, second, stride=2)
        self.layer3 = stage(second, third, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(third, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, height, width)."""
        features = self.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        return self.classifier(self.pool(features).flatten(1))


def stage(before: int, after: int, stride: int) -> nn.Sequential:
    """Three blocks, the first of which changes the shape."""
    return nn.Sequential(
        BasicBlock(before, after, stride), BasicBlock(after, after, 1), BasicBlock(after, after, 1)
    )
