"""The scale of weights in front of a normalization: without effect on the function, not on learning.

A layer whose output is normalized computes the same with weights c w as with w, but its gradient is 1/c
times as large, and a step of given length turns the weights 1/c times as far (van Laarhoven 2017, "L2
regularization versus batch and weight normalization"). Averages of networks that do not match have small
weights and so learn fast; shrinking gives the same speed to any merge.
"""

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

NORMALIZATIONS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)


def normalized_layers(model: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """Each convolution or linear layer whose output goes into a normalization and nowhere else, with that."""
    traced = fx.symbolic_trace(model)
    modules = dict(traced.named_modules())
    called = [node for node in traced.graph.nodes if node.op == "call_module"]
    targets = [node.target for node in called]
    found = []
    for node in called:
        (user, *others) = node.users or [None]
        followed = not others and user is not None and user.op == "call_module"
        layer, after = modules[str(node.target)], modules[str(user.target)] if followed else None
        once = targets.count(node.target) == 1
        if isinstance(layer, nn.Conv2d | nn.Linear) and isinstance(after, NORMALIZATIONS) and once:
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
            normalization.running_mean.mul_(factor)
            normalization.running_var.mul_(factor**2)
