"""ResNet-50 as torchvision builds it (He et al. 2016)."""

from typing import Annotated, Literal

from pydantic import Field
from torch import nn
from typing_extensions import override

from dimat.io.torchvision_import import torchvision_module
from dimat.models.model import SIZE, Model


class ResNet50(Model):
    """torchvision's ResNet-50 for any number of channels and classes, randomly initialized."""

    name: Literal["resnet50"] = "resnet50"
    stem: Literal["imagenet", "small"] = "imagenet"
    """`imagenet` halves the image twice before the first block (published, also for 32x32 images); `small`
    keeps its size: a 3x3 convolution of stride 1 and no pooling."""
    width: Annotated[float, Field(ge=1 / 64, le=8)] = 1.0
    """Factor on the channels inside blocks, as of wide residual networks (Zagoruyko and Komodakis 2016); what
    blocks hand on keeps its number of channels. The published experiments use 1."""

    @override
    def build(self, channels: int, classes: int, size: tuple[int, int] = SIZE) -> nn.Module:
        network = torchvision_module("models").resnet50(
            num_classes=classes, width_per_group=round(64 * self.width)
        )
        if self.stem == "small":
            network.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
            network.maxpool = nn.Identity()
        elif channels != 3:
            network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        return network
