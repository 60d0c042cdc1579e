"""Failures of a network's own code, as mistakes that name the module."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from dimat.errors import InputError
from dimat.models.tracing import UnsupportedOperation


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Inside, what code of networks raises is an `UnsupportedOperation` that names the module at work."""
    try:
        yield
    except (InputError, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or ["no message"]
        raise UnsupportedOperation(
            f"{place_of(error)}: {what} ended with {type(error).__name__} ({lines[0][:200]}); expected a "
            "network that takes a batch of such images alone, evaluated and in training mode"
        ) from error


def place_of(error: BaseException) -> str:
    """The network and the module of it in which an error was raised."""
    modules: list[nn.Module] = []
    step = error.__traceback__
    while step is not None:
        own = step.tb_frame.f_locals.get("self")
        if isinstance(own, nn.Module):
            modules.append(own)
        step = step.tb_next
    for network in modules:
        names = {id(module): name for name, module in network.named_modules()}
        name = names.get(id(modules[-1]))
        if name:
            return f"{type(network).__name__}, module {name!r}"
    return type(modules[0]).__name__ if modules else "the network"
