"""Recalibration of batch normalization after a merge (Izmailov et al. 2018; Jordan et al. 2023)."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics by the mean of the batch statistics over ``batches``, in place.

    Batches are weighted by their size. The layers' momentum and the model's mode are as before.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    was_training = model.training
    model.train()
    seen = 0
    try:
        with torch.no_grad():
            for images in batches:
                seen += len(images)
                for layer in layers:
                    layer.momentum = len(images) / seen  # a running mean over all images so far
                model(images)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.train(was_training)
