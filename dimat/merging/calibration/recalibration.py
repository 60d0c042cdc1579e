"""Recalibration of batch normalization after a merge (Izmailov et al. 2018; Jordan et al. 2023)."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dimat.models.modes import evaluated


def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics by the mean of the batch statistics over ``batches``, in place.

    Batches are weighted by their size. The layers' momentum and the model's mode are as before.
    """
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        with batch_statistics(model) as count, torch.no_grad():
            for images in batches:
                count(len(images))
                model(images)


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[Callable[[int], None]]:
    """Inside, batch normalization uses and averages the statistics of each batch; all else is evaluated.

    Gives a function that must be called with the size of each batch before that is passed through. Modes and
    momenta are afterwards as before.
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    seen = 0

    def count(images: int) -> None:
        nonlocal seen
        seen += images
        for layer in layers:
            layer.momentum = images / seen  # a running mean over all images so far

    try:
        with evaluated(model):
            for layer in layers:
                layer.train()
            yield count
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
