"""Training and evaluation mode, borrowed for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluated(model: nn.Module) -> Iterator[None]:
    """Inside, all of ``model`` is in evaluation mode; afterwards each of its modules is as it was."""
    before = [(module, module.training) for module in model.modules()]
    forget(model)
    try:
        model.eval()
        yield
    finally:
        for module, training in before:
            module.training = training


def forget(model: nn.Module) -> None:
    """Let a network forget what it has computed from its weights and kept; modes stay as they are.

    Some keep such things while they are evaluated, and go back to their weights when they are to be trained.
    """
    before = [(module, module.training) for module in model.modules()]
    model.train()
    for module, training in before:
        module.training = training
