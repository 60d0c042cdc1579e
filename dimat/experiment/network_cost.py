"""What one image costs in a network, counted from shapes: nothing is computed."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dimat.experiment.fitting_cost import Equations, equations_of
from dimat.merging.calibration.least_squares import fitted_layers
from dimat.models import AnyModel
from dimat.models.slices import inside
from dimat.models.symmetry import Observed, permutation_groups
from dimat.models.vit import Product


@dataclass(frozen=True)
class Cost:
    """Of one image in a network's forward pass, and of the network.

    ``operations`` and ``features`` (bytes of all that layers put out, float32) are those of an image,
    ``layers`` those of the network that compute something, ``parameters`` its bytes. ``groups`` has the
    channels of each group of neurons that can be re-ordered, and at how many positions an image shows them;
    ``fitted`` are the layers that `fit_layers` gives their weights. ``recalibrated`` is 1 if there are
    running statistics, for which `recalibrate` looks at images, else 0.
    """

    operations: int
    features: int
    layers: int
    parameters: int
    groups: tuple[tuple[int, int], ...]
    fitted: tuple[Equations, ...]
    recalibrated: int


@cache
def cost_of(model: AnyModel, channels: int, size: int) -> Cost:
    """The cost of a square image of so many ``channels`` and pixels a side.

    Passes of no images at all have the shapes of others and compute nothing.
    """
    network = with_zeros(model, channels, size)
    nothing = torch.zeros(0, channels, size, size)
    fitted = {network.get_submodule(name) for name in fitted_layers(network, nothing)}
    equations: list[Equations] = []
    operations = features = layers = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal operations, features, layers
        if module in fitted:
            equations.append(equations_of(module, inputs[0], output))
        entries = output.shape[1:].numel()
        layers += 1
        features += entries * 4
        operations += operations_of(module, inputs, output)

    hooks = [
        module.register_forward_hook(count) for module in network.modules() if not list(module.children())
    ]
    with torch.no_grad():
        network(nothing)
        for hook in hooks:
            hook.remove()
        groups = groups_in(network, nothing)
    parameters = sum(parameter.nbytes for parameter in network.parameters())
    recalibrated = int(any(isinstance(module, _BatchNorm) for module in network.modules()))
    return Cost(operations, features, layers, parameters, groups, tuple(equations), recalibrated)


@cache
def slice_operations(model: AnyModel, channels: int, size: int, parts: int) -> float:
    """Operations of an image in the mean of so many slices, among which all hidden channels are dealt out.

    They are those of the networks that slices would be if they were cut out.
    """
    network = with_zeros(model, channels, size)
    nothing = torch.zeros(0, channels, size, size)
    names = {module: f"{name}.weight" for name, module in network.named_modules()}
    whole: dict[str, int] = {}
    products = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal products
        found = operations_of(module, inputs, output)
        if isinstance(module, Product):
            products += found
        else:
            whole[names[module]] = found

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear | Product)]
    hooks = [module.register_forward_hook(count) for module in layers]
    with torch.no_grad():
        network(nothing)
    for hook in hooks:
        hook.remove()
    groups = permutation_groups(network, (channels, size, size))
    shapes = {name: network.get_parameter(name).shape for name in whole}
    total = float(products)  # each is a sum over hidden channels, all of which are dealt out
    for part in range(parts):
        kept = {group.name: torch.arange(group.size).tensor_split(parts)[part] for group in groups}
        shares = {name: tensor.double().mean() for name, tensor in inside(shapes, groups, kept).items()}
        total += sum(whole[name] * float(share) for name, share in shares.items())
    return total / parts


def operations_of(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> int:
    """Operations of an image in a layer: two for each product; those of other layers are not counted."""
    if isinstance(module, Product):
        return 2 * output.shape[1:].numel() * inputs[0].shape[-1]
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return 0
    return 2 * output.shape[1:].numel() * module.weight[0].numel()


def groups_in(network: nn.Module, images: Tensor) -> tuple[tuple[int, int], ...]:
    """(channels, positions) of each group of a network that shows features."""
    groups = permutation_groups(network, tuple(images.shape[1:]))
    observed = Observed(network, [group for group in groups if group.node]).features(images)
    return tuple((group.size, features.shape[2:].numel()) for group, features in observed)


def with_zeros(model: AnyModel, channels: int, size: int) -> nn.Module:
    """A network of zeros, evaluated: to draw its weights would take longer than all that is counted.

    `Module.to_empty` would import what takes longer still.
    """
    with torch.device("meta"):
        network = model.build(channels, 100, (size, size))
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.zeros(parameter.shape, dtype=parameter.dtype), False))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.zeros(buffer.shape, dtype=buffer.dtype))
    return network.eval()
