"""What an architecture must provide."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import nn

from dimat.errors import InputError
from dimat.randomness import Randomness
from dimat.spec import Spec

SIZE = (32, 32)
"""Height and width of images if nobody says otherwise: those of CIFAR."""


class Model(Spec):
    """A family of image classifiers."""

    smallest: ClassVar[int] = 1
    """Pixels a side of the smallest images that it takes."""
    convex: ClassVar[bool] = False
    """Whether the loss is convex in its parameters."""

    def check_size(self, height: int, width: int) -> None:
        """`InputError` if it does not take images of so many pixels."""
        if min(height, width) < self.smallest:
            raise InputError(
                f"model: {self.label()} takes images of {self.smallest}x{self.smallest} pixels or more, got "
                f"{width}x{height}; expected another model, or a larger data.size"
            )

    @abstractmethod
    def build(self, channels: int, classes: int, size: tuple[int, int] = SIZE) -> nn.Module:
        """A network from images (batch, ``channels``, height, width) to logits (batch, ``classes``).

        It must be traceable by torch.fx, so that its permutation symmetry can be found. ``size`` (height,
        width) matters only to a network with parameters for each place; others take images of any size that
        `check_size` lets pass.
        """

    def initialized(
        self,
        channels: int,
        classes: int,
        randomness: Randomness,
        agent: int | None,
        size: tuple[int, int] = SIZE,
    ) -> nn.Module:
        """The network with an initialization of its own for ``agent`` (`None`: one shared by all)."""
        with torch.random.fork_rng(devices=[]):  # layers draw from the global generator when built
            model = self.build(channels, classes, size)
        generator = randomness.torch("initialization", agent=agent)
        with torch.no_grad():
            for module in model.modules():
                if next(module.parameters(recurse=False), None) is not None:
                    self.initialize(module, generator)
        return model

    def initialize(self, module: nn.Module, generator: torch.Generator) -> None:
        """Draw the start of a layer's own parameters; TypeError if none is known for it.

        Kaiming-normal weights (fan-in, gain sqrt 2) in convolutions and linear layers, as published for
        ResNet-20; biases uniform in +-1/sqrt(fan-in); normalization layers start as the identity.
        """
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                bound = module.weight[0].numel() ** -0.5
                nn.init.uniform_(module.bias, -bound, bound, generator=generator)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm | nn.GroupNorm | nn.LayerNorm):
            module.reset_parameters()
        else:
            raise TypeError(f"no initialization is known for {type(module).__name__}")
