"""REPAIR (Jordan, Sedghi, Saukh, Entezari and Neyshabur 2023): mean and deviation of every channel, restored.

Averaged weights give channels that vary less than those of either parent, layer after layer. REPAIR sets
each channel's mean and deviation to the parents', interpolated, as a batch normalization put behind each
layer would, and folds that into the layer. RESCALE, its ablation, sets the deviation alone.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dimat.merging.averaging.scale import NORMALIZATIONS, normalized_layers
from dimat.merging.calibration.recalibration import batch_statistics
from dimat.models.modes import evaluated
from dimat.models.symmetry import permutation_groups
from dimat.models.tracing import layers_called


def renormalize(
    model: nn.Module,
    parents: Sequence[nn.Module],
    weights: Sequence[float],
    batches: Callable[[], Iterable[Tensor]],
    *,
    shift: bool,
) -> None:
    """Give each channel of ``model`` the parents' mean (if ``shift``) and deviation, averaged; in place.

    ``parents`` are aligned networks of the same architecture, ``weights`` sum to 1; ``batches`` starts a
    pass over normalized images (batch, channels, height, width). A layer without a bias keeps its mean up
    to scale, a channel that never varies keeps its deviation, and what gives the logits stays as it is.
    Batch normalization is recalibrated on the way.
    """
    names = repaired_layers(model, tuple(next(iter(batches())).shape[1:]))
    targets = [channel_moments(parent, names, batches) for parent in parents]
    repaired = {}
    for name in names:
        weighted = list(zip(weights, (moments[name] for moments in targets), strict=True))
        mean = sum((weight * mean for weight, (mean, _) in weighted), torch.zeros(()))
        deviation = sum((weight * deviation for weight, (_, deviation) in weighted), torch.zeros(()))
        repaired[name] = _Repair(model.get_submodule(name), mean if shift else None, deviation)
    with batch_statistics(model) as count, torch.no_grad(), ExitStack() as hooks:
        for repair in repaired.values():
            hooks.enter_context(repair.layer.register_forward_hook(repair))
        for images in batches():
            count(len(images))
            model(images)
    for repair in repaired.values():
        repair.fold()


def repaired_layers(model: nn.Module, image_shape: tuple[int, ...]) -> list[str]:
    """The layers whose output is repaired: those with a weight for each hidden channel, by name.

    Not a layer that goes straight into a normalization that is repaired itself, and not one that is used
    twice or shares its weight or bias. A normalization without weights, or with one for each position, is
    not repaired: the layer in front of it is.
    """
    groups = permutation_groups(model, image_shape)
    members = [member.name for group in groups for member in group.members if member.axis == 0]
    parameters = [id(tensor) for _, tensor in model.named_parameters(remove_duplicate=False)]
    called = [node.target for node in layers_called(model)]
    layers = {}
    for name, layer in model.named_modules():
        normalizes = isinstance(layer, NORMALIZATIONS)
        if (normalizes or isinstance(layer, nn.Conv2d | nn.Linear)) and layer.weight is not None:
            own = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
            alone = all(parameters.count(id(tensor)) == 1 for tensor in own) and called.count(name) == 1
            per_channel = not normalizes or layer.weight.ndim == 1
            if f"{name}.weight" in members and alone and per_channel:
                layers[name] = layer
    undone = [layer for layer, after in normalized_layers(model) if after in layers.values()]
    return [name for name, layer in layers.items() if layer not in undone]


def channel_moments(
    model: nn.Module, names: Sequence[str], batches: Callable[[], Iterable[Tensor]]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and deviation (C,) of each channel of the named layers' outputs, over all images and positions."""
    sums = {name: _Moments() for name in names}
    with evaluated(model), torch.no_grad(), ExitStack() as hooks:
        for name, moments in sums.items():
            hooks.enter_context(model.get_submodule(name).register_forward_hook(moments))
        for images in batches():
            model(images)
    return {name: moments.mean_and_deviation() for name, moments in sums.items()}


def rows_of(layer: nn.Module, output: Tensor) -> Tensor:
    """What a layer puts out, as a row (C,) in float64 for each image and position."""
    return output.movedim(channel_axis(layer), -1).flatten(0, -2).double()


def channel_axis(layer: nn.Module) -> int:
    """Where a layer's output has its channels: linear layers and layer norms leave positions before them."""
    return -1 if isinstance(layer, nn.Linear | nn.LayerNorm) else 1


@dataclass
class _Moments:
    """Sums over a layer's outputs, shifted by the first batch's means: large means cost no accuracy."""

    count: int = 0
    shift: Tensor = field(default_factory=lambda: torch.empty(0))
    first: Tensor = field(default_factory=lambda: torch.zeros(()))
    square: Tensor = field(default_factory=lambda: torch.zeros(()))

    def __call__(self, layer: nn.Module, inputs: object, output: Tensor) -> None:
        """Add the observations of one batch (a forward hook)."""
        rows = rows_of(layer, output)
        if not self.count:
            self.shift = rows.mean(0)
        self.count += len(rows)
        self.first = self.first + (rows - self.shift).sum(0)
        self.square = self.square + (rows - self.shift).square().sum(0)

    def mean_and_deviation(self) -> tuple[Tensor, Tensor]:
        mean = self.first / self.count
        variance = (self.square / self.count - mean.square()).clamp_min(0)
        return self.shift + mean, variance.sqrt()


@dataclass
class _Repair:
    """A normalization put behind a layer; folded into the layer in the end, with moments over all images.

    ``mean`` (None: the layer's own) and ``deviation`` (C,) are what each channel is to have.
    """

    layer: nn.Module
    mean: Tensor | None
    deviation: Tensor
    seen: int = 0
    own_mean: Tensor = field(default_factory=lambda: torch.zeros(()))
    own_square: Tensor = field(default_factory=lambda: torch.zeros(()))

    def __call__(self, layer: nn.Module, inputs: object, output: Tensor) -> Tensor:
        """Correct one batch of outputs by its own statistics, and average these (a forward hook)."""
        rows = rows_of(layer, output)
        mean, variance = rows.mean(0), rows.var(0, correction=0)
        self.seen += len(output)
        share = len(output) / self.seen
        self.own_mean = self.own_mean + share * (mean - self.own_mean)
        self.own_square = self.own_square + share * (variance + mean.square() - self.own_square)
        factor, offset = self._affine(mean, variance)
        shape = [1] * output.ndim
        shape[channel_axis(layer)] = -1
        return output * factor.to(output.dtype).view(shape) + offset.to(output.dtype).view(shape)

    def _affine(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """The factor and the offset that correct channels with this mean and variance."""
        varies = variance > 1e-12 * (mean.square() + self.deviation.square())
        factor = torch.where(varies, self.deviation / torch.where(varies, variance, 1).sqrt(), 1)
        if self.layer.bias is None:
            return factor, torch.zeros_like(mean)
        return factor, (mean if self.mean is None else self.mean) - factor * mean

    @torch.no_grad()
    def fold(self) -> None:
        """Give the correction to the layer's own weight and bias."""
        factor, offset = self._affine(self.own_mean, self.own_square - self.own_mean.square())
        weight, bias = self.layer.get_parameter("weight"), self.layer.bias
        weight.copy_(weight * factor.view(-1, *([1] * (weight.ndim - 1))))
        if isinstance(bias, Tensor):
            bias.copy_(bias * factor + offset)
