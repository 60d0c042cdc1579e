"""A small Vision Transformer (Dosovitskiy et al. 2021), pre-norm, with learnt positions and mean pooling."""

from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from typing_extensions import override

from dimat.errors import InputError
from dimat.models.model import SIZE, Model


class Vit(Model):
    """Square patches of an image as tokens, blocks of attention and perceptrons, the mean over tokens.

    Blocks are x + attention(norm(x)), then x + perceptron(norm(x)), with GELU. There is no class token: the
    last linear layer sees the mean of all tokens (Beyer, Zhai and Kolesnikov 2022, "Better plain ViT
    baselines"). It has a learnt position for each patch, so that its size hangs on that of images. Linear
    layers start Xavier-uniform with biases of 0, positions normal with deviation 0.02, as published.

    Without batch normalization there are no running statistics: `calibration.repair` `recalibrate` leaves
    it as `none` does; `repair` and `rescale` correct its channels.
    """

    name: Literal["vit"] = "vit"
    patch: Annotated[int, Field(ge=1, le=64)] = 4
    """Pixels a side of a patch; it divides the sides of images."""
    width: Annotated[int, Field(ge=1, le=4096)] = 64
    """Channels of each token, dealt out evenly among the heads."""
    depth: Annotated[int, Field(ge=1, le=100)] = 4
    """Blocks."""
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    """Heads of attention in each block; they divide the width."""
    mlp: Annotated[int, Field(ge=1, le=16)] = 2
    """Hidden neurons of each perceptron, over the width."""

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.width % self.heads:
            raise ValueError(
                f"width: {self.width} channels are not dealt out evenly among {self.heads} heads; expected a "
                "width that is a multiple of heads"
            )
        return self

    @override
    def check_size(self, height: int, width: int) -> None:
        if height % self.patch or width % self.patch:
            raise InputError(
                f"model: {self.label()} takes images of whole patches of {self.patch}x{self.patch} pixels, "
                f"got {width}x{height}; expected a model.patch that divides them, or another data.size"
            )

    @override
    def build(self, channels: int, classes: int, size: tuple[int, int] = SIZE) -> nn.Module:
        return VitNetwork(self, channels, classes, size)

    @override
    def initialize(self, module: nn.Module, generator: torch.Generator) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            assert module.bias is not None  # all layers here have one
            nn.init.zeros_(module.bias)
        elif isinstance(module, Positions):
            nn.init.normal_(module.learnt, std=0.02, generator=generator)
        else:
            super().initialize(module, generator)


class VitNetwork(nn.Module):
    """The network that `Vit` describes, for images of one ``size`` (height, width)."""

    def __init__(self, spec: Vit, channels: int, classes: int, size: tuple[int, int]) -> None:
        super().__init__()
        places = (size[0] // spec.patch) * (size[1] // spec.patch)
        self.patches = nn.Conv2d(channels, spec.width, spec.patch, stride=spec.patch)
        self.positions = Positions(places, spec.width)
        self.blocks = nn.Sequential(
            *(Block(spec.width, spec.heads, spec.mlp * spec.width) for _ in range(spec.depth))
        )
        self.norm = nn.LayerNorm(spec.width)
        self.classifier = nn.Linear(spec.width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, channels, height, width)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        return self.classifier(self.norm(self.blocks(self.positions(tokens))).mean(1))


class Positions(nn.Module):
    """Adds what is learnt for each place to the token there."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.learnt = nn.Parameter(torch.zeros(places, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (batch, places, width) with their positions."""
        return tokens + self.learnt


class Block(nn.Module):
    """Attention and a perceptron, each on a normalized copy of the tokens, which it adds to."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (batch, places, width), and so they come out."""
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.perceptron(self.norm2(tokens))


class Attention(nn.Module):
    """Self-attention of several heads, written out: few tokens are as fast so, and always the same bits.

    Fused kernels for GPUs add up gradients in an order that is not always the same.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.qkv = nn.Linear(width, 3 * width)
        self.scores = Product()
        self.softmax = nn.Softmax(-1)
        self.mixed = Product()
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (batch, places, width), and so they come out."""
        split = self.qkv(tokens).unflatten(2, (3, self.heads, self.size))
        queries, keys, values = split.permute(2, 0, 3, 1, 4).unbind(0)
        shares = self.softmax(self.scores(queries * self.size**-0.5, keys.transpose(2, 3)))
        return self.output(self.mixed(shares, values).transpose(1, 2).flatten(2))


class Product(nn.Module):
    """The product of two matrices for each image and head; a layer, so that its cost is counted."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Matrices (batch, heads, n, k) times (batch, heads, k, m)."""
        return left @ right
