"""The scale of weights in front of a normalization: without effect on the function, not on learning.

A layer whose output is normalized computes the same with weights c w as with w, but its gradient is 1/c
times as large, and a step of given length turns the weights 1/c times as far (van Laarhoven 2017, "L2
regularization versus batch and weight normalization"). Averages of networks that do not match have small
weights and so learn fast; shrinking gives the same speed to any merge.
"""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dimat.models.tracing import layers_called

NORMALIZATIONS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)


def normalized_layers(model: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """Each convolution or linear layer whose output goes into a normalization and nowhere else, with that."""
    modules = dict(model.named_modules())
    called = layers_called(model)
    targets = [node.target for node in called]
    found = []
    for node in called:
        once = targets.count(node.target) == 1 and len(node.users) == 1
        layer = modules[str(node.target)]
        for user in node.users if once and isinstance(layer, nn.Conv2d | nn.Linear) else ():
            after = modules[str(user.target)] if user.op == "call_module" else None
            if isinstance(after, NORMALIZATIONS):
                found.append((layer, after))
    return found


@torch.no_grad()
def shrink(model: nn.Module, factor: float) -> None:
    """Multiply all weights (and biases) in front of normalizations by ``factor``, in place.

    The function changes only by what the small constant in the denominators of normalizations does.
    """
    for layer, normalization in normalized_layers(model):
        for parameter in layer.parameters():
            parameter.mul_(factor)
        if isinstance(normalization, _BatchNorm) and normalization.running_mean is not None:
            assert normalization.running_var is not None  # as torch has both or none
            normalization.running_mean.mul_(factor)
            normalization.running_var.mul_(factor**2)
