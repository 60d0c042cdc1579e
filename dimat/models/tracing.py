"""The graph of a network's operations, traced by torch.fx once for all networks of one structure."""

import inspect
from collections.abc import Hashable
from typing import Any

import torch
from torch import fx, nn
from typing_extensions import override

from dimat.errors import InputError


class UnsupportedOperation(InputError, TypeError):
    """The symmetry of a network is not known, or not what was found; the message names what and where."""


def traced(model: nn.Module) -> fx.Graph:
    """The graph of a network's operations, traced once for all networks of one `structure`.

    It can be carried out with any of them, by an `Interpreter`. Where torch.fx finds none, as control flow
    hangs on values, the whole network is one node.
    """
    alike = structure(model)
    if alike is not None and alike in _graphs:
        return _graphs[alike]
    try:
        graph = fx.Tracer().trace(model, defaults_of(model))
    except Exception:  # whatever a network does to values that are not there yet
        graph = in_one(model)
    if alike is not None and structure(model) == alike:  # a constant in the graph would be this network's
        remember(_graphs, alike, graph)
    return graph


def layers_called(model: nn.Module) -> list[fx.Node]:
    """The nodes of layers in a network's graph; `UnsupportedOperation` if torch.fx finds no layers in it."""
    called = [node for node in traced(model).nodes if node.op == "call_module"]
    if any(node.target == WHOLE for node in called):
        raise UnsupportedOperation(
            f"{type(model).__name__} cannot be traced by torch.fx, as which layers it calls hangs on values"
        )
    return called


def defaults_of(model: nn.Module) -> dict[str, Any] | None:
    """What a forward pass takes for all that it can do without: control flow may hang on these."""
    arguments = inspect.signature(model.forward).parameters.values()
    found = {each.name: each.default for each in arguments if each.default is not each.empty}
    return found or None


def in_one(model: nn.Module) -> fx.Graph:
    """A graph with the whole network as its only node."""
    graph = fx.Graph()
    images = graph.placeholder("images")
    node = graph.create_node("call_module", WHOLE, (images,), name=type(model).__name__.lower())
    graph.output(node)
    return graph


WHOLE = ""
"""The target of a node that is the whole network."""


class Interpreter(fx.Interpreter):
    """Carries out the graph of one network with another of the same structure."""

    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        super().__init__(model, graph=graph)

    @override
    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target == WHOLE:
            return self.module(*args, **kwargs)
        return super().call_module(target, args, kwargs)


def structure(model: nn.Module) -> Hashable | None:
    """All that a trace of ``model`` depends on; `None` if that cannot be told.

    That are the classes and names of its modules, their plain attributes, and the shapes of its parameters
    and buffers, and which of all these are shared.
    """
    first: dict[int, str] = {}
    parts: list[Hashable] = []
    for name, module in model.named_modules(remove_duplicate=False):
        inner = vars(module)
        hooks = any(inner[key] for key in inner if key in _USUAL and key.endswith("_hooks"))
        attributes = tuple((key, plain(inner[key])) for key in sorted(inner.keys() - _USUAL))
        if hooks or any(value is None for _, value in attributes):
            return None
        tensors = tuple(
            (key, None if each is None else (first.setdefault(id(each), f"{name}.{key}"), each.shape))
            for key, each in (*module._parameters.items(), *module._buffers.items())
        )
        parts.append(
            (name, first.setdefault(id(module), name), type(module), module.training, attributes, tensors)
        )
    return tuple(parts)


def plain(value: object) -> Hashable | None:
    """An attribute as a key, in which 1 is not True; `None` for what may hold more than it shows."""
    if isinstance(value, list | tuple):
        items = tuple(map(plain, value))
        return None if None in items else (type(value), items)
    known = value is None or isinstance(value, _PLAIN)
    return (type(value), value) if known else None


_USUAL = frozenset(vars(nn.Module()))
"""Attributes that all modules have."""
_PLAIN = (bool, int, float, complex, str, bytes, torch.dtype)
_REMEMBERED = 32
_graphs: dict[Hashable, fx.Graph] = {}


def remember(known: dict[Hashable, Any], key: Hashable, value: object) -> None:
    """Keep a value for networks of one structure; the oldest of many is forgotten."""
    while len(known) >= _REMEMBERED:
        del known[next(iter(known))]
    known[key] = value
