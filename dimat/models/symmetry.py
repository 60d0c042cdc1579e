"""Permutation symmetries of a network, found by tracing it with torch.fx.

The hidden channels of a network can be re-ordered without changing its function, if every tensor that
produces or consumes them is re-ordered alike. Each traced value gets a *channel space*; layers that mix
channels start a new one, layers that act on each channel leave it, and additions unite two (union-find).
What is left in one space is a `Group`. Input channels and outputs (class logits) are never permuted.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, fx, nn
from torch.nn import functional


@dataclass(frozen=True)
class Member:
    """One axis of one parameter or buffer that follows a group's permutation.

    ``block`` consecutive entries belong to each channel (more than 1 behind a flattened feature map).
    """

    name: str
    axis: int
    block: int = 1


@dataclass(frozen=True)
class Group:
    """Channels that must be permuted together.

    ``node`` names the traced value at which the group's features are compared: the last one in the
    network before any pooling, so the end of a residual stream, after its nonlinearity.
    """

    name: str
    size: int
    members: tuple[Member, ...]
    node: str


Permutations = Mapping[str, Tensor]
"""Group name to an index tensor (size,): new channel b is old channel ``permutation[b]``."""


class UnsupportedOperation(TypeError):
    """The network has an operation whose symmetry is not known; the message names it."""


CHANNELWISE_MODULES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Identity,
    nn.Dropout, nn.Dropout2d,
)  # fmt: skip
POOLING_MODULES = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
CHANNELWISE_FUNCTIONS = (
    functional.relu,
    torch.relu,
    functional.gelu,
    functional.silu,
    torch.tanh,
    torch.sigmoid,
)
POOLING_FUNCTIONS = (functional.max_pool2d, functional.avg_pool2d, functional.adaptive_avg_pool2d)
ADDITIONS = (operator.add, operator.iadd, torch.add)


@dataclass
class _Space:
    """A channel space: a node of the union-find forest."""

    size: int
    fixed: bool = False
    parent: "_Space | None" = None
    members: list[Member] = field(default_factory=list)
    nodes: list[tuple[int, str]] = field(default_factory=list)

    def root(self) -> "_Space":
        return self if self.parent is None else self.parent.root()


@dataclass(frozen=True)
class _Value:
    """A traced tensor: its channel space (axis 1) and how many entries each channel has on that axis.

    ``pooled`` values are only views of features that the network held before, pooled or flattened.
    """

    space: _Space
    block: int = 1
    pooled: bool = False


class _Tracer:
    """Walks the traced graph once, in order, with example shapes at hand."""

    def __init__(self, model: nn.Module, image: Tensor) -> None:
        self.graph_module = fx.symbolic_trace(model)
        self.modules = dict(self.graph_module.named_modules())
        self.shapes: dict[fx.Node, torch.Size] = {}
        self.values: dict[fx.Node, _Value] = {}
        self.spaces: list[_Space] = []
        self.owners: dict[tuple[int, int], tuple[_Space, int]] = {}
        _ShapeRecorder(self.graph_module, self.shapes).run(image)

    def trace(self) -> list[Group]:
        for position, node in enumerate(self.graph_module.graph.nodes):
            if node.op == "placeholder":
                self.values[node] = _Value(self._new_space(self.shapes[node][1], fixed=True))
            elif node.op == "output":
                if not isinstance(node.args[0], fx.Node):
                    raise UnsupportedOperation("the network must return one tensor")
                self.values[node.args[0]].space.root().fixed = True
            else:
                value = self.values[node] = self._propagate(node)
                if not value.pooled:
                    value.space.nodes.append((position, node.name))
        return self._groups()

    def _new_space(self, size: int, fixed: bool = False) -> _Space:
        self.spaces.append(_Space(size, fixed))
        return self.spaces[-1]

    def _propagate(self, node: fx.Node) -> _Value:
        if node.op == "call_module":
            module = self.modules[str(node.target)]
            source = self.values[node.args[0]]
            mixes_maps = isinstance(module, nn.Conv2d) and module.groups == 1
            mixes_vectors = isinstance(module, nn.Linear) and len(self.shapes[node.args[0]]) == 2
            if mixes_maps or mixes_vectors:
                return self._mix(str(node.target), module, source)
            if isinstance(module, nn.BatchNorm2d):
                return self._normalize(str(node.target), module, source)
            if isinstance(module, CHANNELWISE_MODULES):
                return source
            if isinstance(module, POOLING_MODULES):
                return replace(source, pooled=True)
            if isinstance(module, nn.Flatten) and module.start_dim == 1 and module.end_dim == -1:
                return self._flatten(node)
        if node.op == "call_function":
            if node.target in ADDITIONS and all(isinstance(term, fx.Node) for term in node.args):
                return self._add(node)
            if node.target in CHANNELWISE_FUNCTIONS:
                return self.values[node.args[0]]
            if node.target in POOLING_FUNCTIONS:
                return replace(self.values[node.args[0]], pooled=True)
            if node.target is torch.flatten and node.args[1:] == (1,):
                return self._flatten(node)
        if node.op == "call_method" and node.target == "relu":
            return self.values[node.args[0]]
        if node.op == "call_method" and node.target == "flatten" and node.args[1:] == (1,):
            return self._flatten(node)
        what = self.modules[str(node.target)] if node.op == "call_module" else node.target
        raise UnsupportedOperation(f"layer {node.name}: the permutation symmetry of {what} is not known")

    def _mix(self, name: str, module: nn.Conv2d | nn.Linear, source: _Value) -> _Value:
        """A layer that mixes all channels: it consumes one space and starts another."""
        produced = _Value(self._new_space(module.weight.shape[0]))
        self._follow(source, name, module, "weight", axis=1)
        self._follow(produced, name, module, "weight")
        self._follow(produced, name, module, "bias")
        return produced

    def _normalize(self, name: str, module: nn.BatchNorm2d, source: _Value) -> _Value:
        for tensor in ("weight", "bias", "running_mean", "running_var"):
            self._follow(source, name, module, tensor)
        return source

    def _follow(self, value: _Value, name: str, module: nn.Module, tensor: str, axis: int = 0) -> None:
        """Let an axis of a module's tensor follow the space of ``value``; a tensor used twice unites two."""
        parameter = getattr(module, tensor)
        if parameter is None:
            return
        value.space.members.append(Member(f"{name}.{tensor}", axis, value.block))
        space, block = self.owners.setdefault((id(parameter), axis), (value.space, value.block))
        if block != value.block:
            raise UnsupportedOperation(f"layer {name}: shared by feature maps of different sizes")
        self._unite(space, value.space)

    @staticmethod
    def _unite(one: _Space, other: _Space) -> None:
        """Two spaces become one."""
        one, other = one.root(), other.root()
        if one is not other:
            other.parent = one
            one.fixed |= other.fixed

    def _flatten(self, node: fx.Node) -> _Value:
        source = self.values[node.args[0]]
        return _Value(source.space, self.shapes[node][1] // source.space.size, pooled=True)

    def _add(self, node: fx.Node) -> _Value:
        """Two spaces become one, because their channels are added pairwise."""
        first, second = (self.values[term] for term in node.args)
        if self.shapes[node.args[0]][1] != self.shapes[node.args[1]][1] or first.block != second.block:
            raise UnsupportedOperation(f"layer {node.name}: an addition that broadcasts over channels")
        self._unite(first.space, second.space)
        return _Value(first.space, first.block, first.pooled and second.pooled)

    def _groups(self) -> list[Group]:
        united: dict[int, Group] = {}
        for root in self.spaces:
            if root.parent is not None or root.fixed:
                continue
            parts = [space for space in self.spaces if space.root() is root]
            members = [member for space in parts for member in space.members]
            _, node = max(place for space in parts for place in space.nodes)
            united[id(root)] = Group(node, root.size, tuple(dict.fromkeys(members)), node)
        return list(united.values())


class _ShapeRecorder(fx.Interpreter):
    """Runs the traced network once and notes the shape of every tensor."""

    def __init__(self, graph_module: fx.GraphModule, shapes: dict[fx.Node, torch.Size]) -> None:
        super().__init__(graph_module)
        self.shapes = shapes

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.shapes[n] = result.shape
        return result


def permutation_groups(model: nn.Module, image_shape: tuple[int, int, int]) -> list[Group]:
    """The groups of hidden channels that can be permuted without changing the function.

    ``image_shape`` is (channels, height, width). `UnsupportedOperation` names a layer that is not understood.
    """
    was_training = model.training
    model.eval()  # an example passes through: running statistics must not move
    try:
        with torch.no_grad():
            device = next(model.parameters()).device
            return _Tracer(model, torch.zeros(1, *image_shape, device=device)).trace()
    finally:
        model.train(was_training)


def permute(
    state: Mapping[str, Tensor], groups: list[Group], permutations: Permutations
) -> dict[str, Tensor]:
    """The state of a network whose hidden channels are re-ordered; its function is unchanged.

    Group g's new channel b is the old channel ``permutations[g.name][b]``.
    """
    result = dict(state)
    for group in groups:
        for member in group.members:
            index = permutations[group.name].to(result[member.name].device)
            if member.block > 1:
                offsets = torch.arange(member.block, device=index.device)
                index = (index[:, None] * member.block + offsets).flatten()
            result[member.name] = result[member.name].index_select(member.axis, index)
    return result


def observed(model: nn.Module, groups: list[Group]) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """A view of ``model`` (same parameters) that returns each group's features instead of the logits."""
    graph_module = fx.symbolic_trace(model)
    graph = graph_module.graph
    by_name = {node.name: node for node in graph.nodes}
    (output,) = (node for node in graph.nodes if node.op == "output")
    output.args = (tuple(by_name[group.node] for group in groups),)
    graph.eliminate_dead_code()
    graph_module.recompile()
    graph_module.train(model.training)
    return graph_module
