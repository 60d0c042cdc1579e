"""PLeaS (Nasery, Hayase, Koh and Oh 2024): merged layers that act on mean activations as their parents do.

The average of aligned weights does not give the average of what layers put out. For every layer by itself,
PLeaS takes the weights W that give it best, given the average of what layers take:

    minimize  sum over images and positions of |W mean_k(x_k) - mean_k(y_k)|^2,

with x_k and y_k what the layer of parent k takes and puts out, in parent k's own pass, and the mean that of
the merge. Activations are those of the parents, not of the merged network, so that layers are independent of
each other. The paper descends along the gradient; here the solution is in closed form. Other parameters, such
as those of normalizations, are averages, and normalization is recalibrated in the end.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.nn import functional

from dimat.arithmetic import full_precision
from dimat.merging.calibration.recalibration import recalibrate
from dimat.models.following import plainly
from dimat.models.modes import evaluated

RIDGE = 1e-4
"""The weight of |W - average of weights|^2, over that of the mean square of what the layer takes.

What images do not show stays as averaging has it; what they show is hardly touched.
"""

Layer = nn.Linear | nn.Conv2d


def fit_layers(
    model: nn.Module,
    parents: Sequence[nn.Module],
    weights: Sequence[float],
    batches: Callable[[], Iterable[Tensor]],
) -> None:
    """Give each linear layer and convolution of ``model`` its least-squares weights, in place.

    ``model`` is the average of the aligned ``parents`` with ``weights``, which sum to 1; ``batches`` starts a
    pass over normalized images (batch, channels, height, width). Layers that are used more than once, or
    share a weight or bias, keep their averages.
    """
    names = fitted_layers(model, next(iter(batches())))
    sums = {name: _Sums(model.get_submodule(name)) for name in names}
    with torch.no_grad(), plainly(), ExitStack() as entered:
        means: dict[str, tuple[Tensor, Tensor]] = {}
        for parent, weight in zip(parents, weights, strict=True):
            entered.enter_context(evaluated(parent))
            for name in sums:
                layer = parent.get_submodule(name)
                entered.enter_context(layer.register_forward_hook(_mean_into(means, name, weight)))
        for images in batches():
            for parent in parents:
                parent(images)
            for name, (taken, given) in means.items():
                sums[name].add(taken, given)
            means.clear()
        for each in sums.values():
            each.solve()
    recalibrate(model, batches())


def fitted_layers(model: nn.Module, images: Tensor) -> list[str]:
    """Linear layers and convolutions with parameters of their own, that ``images`` pass once, by name."""
    parameters = [id(tensor) for _, tensor in model.named_parameters(remove_duplicate=False)]
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if type(layer) in (nn.Linear, nn.Conv2d)
        and all(parameters.count(id(each)) == 1 for each in layer.parameters())
    }
    passed: list[nn.Module] = []
    with torch.no_grad(), plainly(), evaluated(model), ExitStack() as hooks:
        for layer in layers.values():
            hooks.enter_context(layer.register_forward_hook(lambda layer, *_: passed.append(layer)))
        model(images)
    return [name for name, layer in layers.items() if passed.count(layer) == 1]


def _mean_into(means: dict[str, tuple[Tensor, Tensor]], name: str, weight: float) -> Callable[..., None]:
    """A forward hook that adds to the mean of what a layer takes and puts out in all parents."""

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        both = inputs[0].double() * weight, output.double() * weight
        if name in means:
            both = both[0] + means[name][0], both[1] + means[name][1]
        means[name] = both

    return hook


class _Sums:
    """The normal equations of a layer: sums over all observations, for each group of a convolution.

    With the d numbers of each observation that an output is made of, and a 1 where there is a bias:
    ``square`` (groups, d, d) and ``product`` (groups, d, outputs / groups).
    """

    def __init__(self, layer: nn.Module) -> None:
        assert isinstance(layer, Layer)
        self.layer = layer
        self.groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        outputs, *rest = layer.weight.shape
        size = math.prod(rest) + (layer.bias is not None)
        self.square = layer.weight.new_zeros(self.groups, size, size, dtype=torch.float64)
        self.product = self.square.new_zeros(self.groups, size, outputs // self.groups)

    def add(self, taken: Tensor, given: Tensor) -> None:
        """What the layer takes and puts out on average, in double precision, for one batch."""
        with full_precision(taken.device):
            rows = observed(self.layer, taken)
            wanted = given.movedim(1, -1) if isinstance(self.layer, nn.Conv2d) else given
            wanted = wanted.reshape(rows.shape[1], self.groups, -1).transpose(0, 1)
            self.square.baddbmm_(rows.mT, rows)
            self.product.baddbmm_(rows.mT, wanted)

    def solve(self) -> None:
        """Give the layer its weights and bias."""
        weight, bias = self.layer.weight, self.layer.bias
        average = weight.double().reshape(self.groups, -1, weight[0].numel()).mT
        if bias is not None:
            average = torch.cat([average, bias.double().view(self.groups, 1, -1)], 1)
        ridge = RIDGE * self.square.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-100)[:, None, None]
        identity = torch.eye(average.shape[1], dtype=torch.float64, device=average.device)
        # Not `solve`, for whose check a GPU is waited for: with the ridge, there is a solution.
        found, _ = torch.linalg.solve_ex(self.square + ridge * identity, self.product + ridge * average)
        if bias is not None:
            bias.copy_(found[:, -1].flatten())
            found = found[:, :-1]
        weight.copy_(found.mT.reshape(weight.shape))


def observed(layer: Layer, taken: Tensor) -> Tensor:
    """What each output of a layer is made of: (groups, observations, d), of images and positions.

    Multiplied with the layer's weights of each group (d, outputs / groups) it gives what the layer puts out.
    The last of d is 1 if there is a bias.
    """
    if isinstance(layer, nn.Conv2d):
        around = layer._reversed_padding_repeated_twice
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        taken = functional.pad(taken, around, mode)
        patches = functional.unfold(taken, layer.kernel_size, layer.dilation, 0, layer.stride)
        rows = patches.unflatten(1, (layer.groups, -1)).permute(1, 0, 3, 2).flatten(1, 2)
    else:
        rows = taken.reshape(1, -1, taken.shape[-1])
    if layer.bias is None:
        return rows
    return torch.cat([rows, rows.new_ones(*rows.shape[:2], 1)], 2)
