"""Accuracy and loss of a network on the test set."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from dimat.data.image_set import ImageSet

BATCH = 500
"""Images per forward pass; the result does not depend on it beyond round-off."""


def evaluate(
    network: nn.Module, data: ImageSet, arithmetic: AbstractContextManager | None = None
) -> dict[str, float]:
    """``test_accuracy`` (share of correct answers) and ``test_loss`` (mean cross-entropy) of one network.

    ``arithmetic`` is the context of the forward passes, such as automatic mixed precision.
    """
    network.eval()
    correct, loss = 0, 0.0
    with torch.no_grad(), arithmetic or nullcontext():
        for images, targets in zip(data.test_images.split(BATCH), data.test_labels.split(BATCH), strict=True):
            logits = network(data.normalized(images)).float()
            correct += int((logits.argmax(1) == targets).sum())
            loss += float(functional.cross_entropy(logits, targets, reduction="sum"))
    count = len(data.test_labels)
    return {"test_accuracy": correct / count, "test_loss": loss / count}


def disagreement(parameters: Tensor) -> float:
    """Mean squared distance of the rows x_i of ``parameters`` (N, d) from their mean."""
    return float((parameters - parameters.mean(0)).double().square().sum() / len(parameters))
