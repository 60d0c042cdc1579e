"""Training and evaluation mode, borrowed for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluated(model: nn.Module) -> Iterator[None]:
    """Inside, all of ``model`` is in evaluation mode; afterwards each of its modules is as it was."""
    before = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in before:
            module.training = training
