"""How channels flow through a network, found by walking its torch.fx graph once.

Every tensor is described by the *parts* of its channel axis, each a channel space with so many consecutive
entries per channel. Layers that mix all channels start a new space; layers that act on each channel pass
parts on; additions and products of two feature maps unite spaces (union-find); concatenations put parts
side by side. What is not understood is an error that names the layer.
"""

import operator
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import TraceError
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from dimat.errors import InputError


class UnsupportedOperation(InputError, TypeError):
    """The network has an operation whose symmetry is not known; the message names it."""


CHANNELWISE_MODULES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Hardswish,
    nn.Hardsigmoid, nn.Identity, nn.Dropout, nn.Dropout2d,
)  # fmt: skip
CHANNELWISE_FUNCTIONS = (
    functional.relu, functional.relu6, functional.leaky_relu, functional.elu, functional.gelu,
    functional.silu, functional.hardswish, functional.hardsigmoid, functional.dropout, torch.relu,
    torch.tanh, torch.sigmoid,
)  # fmt: skip
CHANNELWISE_METHODS = ("relu", "relu_", "sigmoid", "tanh", "contiguous", "float", "double")
POOLING_MODULES = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
POOLING_FUNCTIONS = (
    functional.max_pool2d, functional.avg_pool2d, functional.adaptive_avg_pool2d,
    functional.adaptive_max_pool2d,
)  # fmt: skip
PAIRWISE_FUNCTIONS = (operator.add, operator.iadd, torch.add, operator.mul, operator.imul, torch.mul)
CONCATENATIONS = (torch.cat, torch.concat)


@dataclass(frozen=True)
class Member:
    """One axis of one parameter or buffer that follows a group's permutation.

    ``block`` consecutive entries belong to each channel (more than 1 behind a flattened feature map); the
    first channel's begin at ``start`` (more than 0 behind a concatenation).
    """

    name: str
    axis: int
    block: int = 1
    start: int = 0


@dataclass(eq=False)
class Space:
    """A channel space: a node of the union-find forest."""

    size: int
    fixed: bool = False
    parent: "Space | None" = None
    members: list[Member] = field(default_factory=list)
    nodes: list[tuple[int, str]] = field(default_factory=list)
    """(place in the graph, name) of the values that are this space's features and nothing else."""
    cuts: set[int] = field(default_factory=set)
    """Channels at which a group normalization starts a new group: permutations must not cross them."""

    def root(self) -> "Space":
        """The space that stands for all those united with this one."""
        return self if self.parent is None else self.parent.root()


@dataclass(frozen=True)
class Part:
    """A stretch of a channel axis: a space with ``block`` consecutive entries for each channel."""

    space: Space
    block: int = 1


@dataclass(frozen=True)
class Value:
    """A traced tensor. ``derived`` ones are only pooled, flattened or joined views of earlier features."""

    parts: tuple[Part, ...]
    derived: bool = False

    def repeated(self, factor: int) -> "Value":
        """Each channel's entries ``factor`` times as many."""
        parts = tuple(replace(part, block=part.block * factor) for part in self.parts)
        return Value(parts, self.derived or factor > 1)


def traced(model: nn.Module) -> fx.Graph:
    """The graph of a network's operations, traced once for all networks of one `structure`.

    It can be carried out with any of them: `fx.Interpreter(model, graph=graph)`. `UnsupportedOperation` if
    torch.fx finds none.
    """
    alike = structure(model)
    if alike is not None and alike in _graphs:
        return _graphs[alike]
    try:
        graph = fx.Tracer().trace(model)
    except (TraceError, TypeError) as error:
        name, why = type(model).__name__, str(error).splitlines()[0]
        raise UnsupportedOperation(f"{name} cannot be traced ({why})") from None
    if alike is not None and structure(model) == alike:  # a constant in the graph would be this network's
        remember(_graphs, alike, graph)
    return graph


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


class Tracer:
    """Walks the traced graph once, in order, with example shapes at hand."""

    def __init__(self, model: nn.Module, image: Tensor) -> None:
        self.graph = traced(model)
        self.modules = dict(model.named_modules())
        self.shapes: dict[fx.Node, torch.Size] = {}
        self.values: dict[fx.Node, Value] = {}
        self.spaces: list[Space] = []
        self.owners: dict[tuple[int, int], tuple[Part, ...]] = {}
        _ShapeRecorder(model, self.graph, self.shapes).run(image)

    def trace(self) -> list[Space]:
        """The roots of all channel spaces, with their members, nodes and cuts."""
        for place, node in enumerate(self.graph.nodes):
            if node.op == "placeholder":
                self.values[node] = self._start(self.shapes[node][1], fixed=True)
            elif node.op == "output":
                returned = node.args[0]
                if not isinstance(returned, fx.Node) or returned not in self.values:
                    raise UnsupportedOperation("the network must return one tensor")
                for part in self.values[returned].parts:
                    part.space.root().fixed = True
            elif node in self.shapes:  # other nodes are numbers, such as sizes
                value = self.values[node] = self._propagate(node)
                if not value.derived:
                    value.parts[0].space.nodes.append((place, node.name))
        return self._roots()

    def _propagate(self, node: fx.Node) -> Value:
        rule = self._module_rule if node.op == "call_module" else self._function_rule
        value = rule(node) if all(self._known(argument) for argument in node.args[:1]) else None
        if value is None:
            what = self.modules[str(node.target)] if node.op == "call_module" else node.target
            raise UnsupportedOperation(f"layer {node.name}: the permutation symmetry of {what} is not known")
        return value

    def _known(self, argument: object) -> bool:
        terms = argument if isinstance(argument, list | tuple) else [argument]
        return all(not isinstance(term, fx.Node) or term in self.values for term in terms)

    def _module_rule(self, node: fx.Node) -> Value | None:
        name, module = str(node.target), self.modules[str(node.target)]
        source, shape = self.values[_tensor(node)], self.shapes[_tensor(node)]
        if isinstance(module, nn.Conv2d):
            return self._convolution(name, module, source)
        if isinstance(module, nn.Linear) and len(shape) == 2:
            return self._mix(name, module, source)
        if isinstance(module, _BatchNorm):
            return self._scale(name, module, source, ("weight", "bias", "running_mean", "running_var"))
        if isinstance(module, nn.GroupNorm):
            return self._group_norm(name, module, source)
        if isinstance(module, nn.LayerNorm) and tuple(module.normalized_shape) == tuple(shape[1:]):
            return self._scale(name, module, source, ("weight", "bias"))
        if isinstance(module, CHANNELWISE_MODULES):
            return source
        if isinstance(module, POOLING_MODULES):
            return replace(source, derived=True)
        if isinstance(module, nn.Flatten):
            return self._reshape(node)
        return None

    def _function_rule(self, node: fx.Node) -> Value | None:
        called = node.target
        first, second, *_ = *node.args, None, None
        axes = node.kwargs.get("dim", second)
        if called in CONCATENATIONS and axes == 1 and isinstance(first, list | tuple):
            values = [self.values[term] for term in first if isinstance(term, fx.Node)]
            return Value(tuple(part for value in values for part in value.parts), derived=True)
        if called in PAIRWISE_FUNCTIONS and all(isinstance(term, fx.Node) for term in node.args):
            return self._pairwise(node)
        if called in CHANNELWISE_FUNCTIONS or called in CHANNELWISE_METHODS:
            return self.values[_tensor(node)]
        if called in POOLING_FUNCTIONS:
            return replace(self.values[_tensor(node)], derived=True)
        if called in (torch.flatten, "flatten", "view", "reshape"):
            return self._reshape(node)
        if called in (torch.mean, "mean"):
            terms = axes if isinstance(axes, list | tuple) else []
            if sorted(axis % 4 for axis in terms if isinstance(axis, int)) == [2, 3]:
                return replace(self.values[_tensor(node)], derived=True)
        return None

    def _start(self, size: int, fixed: bool = False) -> Value:
        """A value with a space of its own."""
        self.spaces.append(Space(size, fixed))
        return Value((Part(self.spaces[-1]),))

    def _convolution(self, name: str, module: nn.Conv2d, source: Value) -> Value | None:
        if module.groups == 1:
            return self._mix(name, module, source)
        if module.groups != module.in_channels:
            return None  # groups of channels that cannot be told apart by a space
        depthwise = source.repeated(module.out_channels // module.in_channels)
        return self._scale(name, module, depthwise, ("weight", "bias"))

    def _mix(self, name: str, module: nn.Conv2d | nn.Linear, source: Value) -> Value:
        """A layer that mixes all channels: it consumes its source's spaces and starts another."""
        produced = self._start(module.weight.shape[0])
        self._follow(source, name, module, "weight", axis=1)
        return self._scale(name, module, produced, ("weight", "bias"))

    def _scale(self, name: str, module: nn.Module, value: Value, tensors: Iterable[str]) -> Value:
        """A layer with entries of its own for each channel."""
        for tensor in tensors:
            self._follow(value, name, module, tensor, axis=0)
        return value

    def _group_norm(self, name: str, module: nn.GroupNorm, source: Value) -> Value | None:
        """Channels of one group share statistics; with one group, or one for each channel, all are alike."""
        if module.num_groups not in (1, module.num_channels):
            part, *others = source.parts
            if others or part.block > 1:
                return None
            size = module.num_channels // module.num_groups
            part.space.cuts.update(range(size, module.num_channels, size))
        return self._scale(name, module, source, ("weight", "bias"))

    def _reshape(self, node: fx.Node) -> Value | None:
        """Feature maps as vectors: (batch, channels, ...) to (batch, everything else)."""
        before, after = self.shapes[_tensor(node)], self.shapes[node]
        if len(after) != 2 or before[0] != after[0]:
            return None
        return replace(self.values[_tensor(node)].repeated(after[1] // before[1]), derived=True)

    def _pairwise(self, node: fx.Node) -> Value | None:
        """Spaces become one where channels meet pairwise, in a sum or product."""
        one, other = _tensor(node), _tensor(node, 1)
        first, second = self.values[one], self.values[other]
        if self.shapes[one][1] != self.shapes[other][1]:
            return None  # broadcasts over channels
        self._unite(node.name, first.parts, second.parts)
        return Value(first.parts, first.derived and second.derived)

    def _follow(self, value: Value, name: str, module: nn.Module, tensor: str, axis: int) -> None:
        """Let an axis of a module's tensor follow ``value``; a tensor used twice unites spaces."""
        parameter = getattr(module, tensor)
        if parameter is None:
            return
        start = 0
        for part in value.parts:
            part.space.members.append(Member(f"{name}.{tensor}", axis, part.block, start))
            start += part.space.size * part.block
        self._unite(name, self.owners.setdefault((id(parameter), axis), value.parts), value.parts)

    @staticmethod
    def _unite(name: str, ones: tuple[Part, ...], others: tuple[Part, ...]) -> None:
        layouts = [[(part.space.size, part.block) for part in parts] for parts in (ones, others)]
        if layouts[0] != layouts[1]:
            raise UnsupportedOperation(f"layer {name}: its channels are laid out in different ways")
        for one, other in zip(ones, others, strict=True):
            root, joining = one.space.root(), other.space.root()
            if root is not joining:
                joining.parent = root

    def _roots(self) -> list[Space]:
        """The united spaces, each with everything that belongs to those united in it."""
        for space in self.spaces:
            root = space.root()
            if space is not root:
                root.fixed |= space.fixed
                root.members += space.members
                root.nodes += space.nodes
                root.cuts |= space.cuts
        return [space for space in self.spaces if space.parent is None]


def _tensor(node: fx.Node, place: int = 0) -> fx.Node:
    """What gives the tensor that an operation takes at a ``place``, without a keyword."""
    argument = node.args[place] if place < len(node.args) else None
    if not isinstance(argument, fx.Node):
        raise UnsupportedOperation(f"layer {node.name}: expected tensors as arguments without keywords")
    return argument


class _ShapeRecorder(fx.Interpreter):
    """Runs the traced network once and notes the shape of every tensor."""

    def __init__(self, model: nn.Module, graph: fx.Graph, shapes: dict[fx.Node, torch.Size]) -> None:
        super().__init__(model, graph=graph)
        self.shapes = shapes

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.shapes[n] = result.shape
        return result
