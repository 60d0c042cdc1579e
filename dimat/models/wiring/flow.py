"""Labels carried through a network while it computes: one pass, operation by operation.

Operations are those that torch carries out in the end (its dispatcher's), so that a layer, a function called
with a layer's weight, a subclass and a parametrization are one thing. What an operation does to wires is
said by rules, by kind; where there is none, all wires that go in stay where they are.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary
from typing_extensions import override

from dimat.models.wiring.labels import Labels, along, joined, side, varying, vector
from dimat.models.wiring.seeing import Seeing, counts
from dimat.models.wiring.wires import Wires

Rule = Callable[["Flow", Any, Sequence[Any], Mapping[str, Any], Any], None]
"""Gives the labels of what an operation (with arguments) put out."""

RULES: dict[Any, Rule] = {}
"""By operation, without its overload."""


def rule(*operations: str) -> Callable[[Rule], Rule]:
    """Register a rule for operations of ``torch.ops.aten``; those that this torch lacks are left out."""

    def register(given: Rule) -> Rule:
        for name in operations:
            if hasattr(torch.ops.aten, name):
                RULES[getattr(torch.ops.aten, name)] = given
        return given

    return register


@dataclass(frozen=True)
class Feature:
    """Features on the way: the wires along an ``axis`` of what a node of the graph puts out.

    ``place`` counts nodes; ``step`` says which operation inside of the node, -1: the node's own result.
    """

    place: int
    node: str
    step: int
    axis: int
    wires: Tensor


class Flow(Seeing):
    """While it is entered, follows the wires of a ``state`` (tensor to its names) through all operations."""

    def __init__(self, state: Mapping[Tensor, tuple[str, ...]]) -> None:
        super().__init__()
        self.wires = Wires()
        self.state = state
        self.reached: set[str] = set()
        self.features: list[Feature] = []
        self.unknown: dict[str, str] = {}
        """Operations without a rule: the first node in which each was met."""
        self.place, self.node, self.step = -1, "", 0
        self.seeing = True
        self._known: Any = WeakTensorKeyDictionary()
        self._tainted: set[int] = set()
        self._inside: dict[Any, Tensor] = {}

    @override
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [self.labels(tensor) for tensor in tensors_in((args, kwargs))]
        result = func(*args, **kwargs)
        step = self.step
        self.step += counts(func, result)
        if not any(labels.parts for labels in given):
            constant = all(labels.constant for labels in given)
            self.set(result, Labels(constant=constant))
            return result
        if any(labels.constant for labels in given) and _writes(func) and not self.labels(args[0]).parts:
            self._forget(func, args, kwargs, result)  # whoever shares this memory would not know
        else:
            known = RULES.get(func.overloadpacket)
            if known is None and torch.Tag.pointwise in func.tags:
                known = pointwise
            if known is None:
                self._forget(func, args, kwargs, result)
            else:
                known(self, func, args, kwargs, result)
        if counts(func, result):
            self.see(result, step)
        return result

    def labels(self, tensor: Tensor) -> Labels:
        """The labels of a tensor; those of one that was not seen before are its own, or none."""
        if tensor in self.state:
            self.reached.update(self.state[tensor])
        found = self._known.get(tensor)
        if found is None:
            if tensor in self.state and tensor.is_floating_point():
                found = self._own(tensor)
            else:
                found = Labels(constant=True)
            self._known[tensor] = found
        if tensor.untyped_storage()._cdata in self._tainted and not found.parts:
            return Labels()
        return found

    def _own(self, tensor: Tensor) -> Labels:
        parts = []
        for axis, size in enumerate(tensor.shape):
            if size > 1:
                wires = self.wires.new_axis(self.state[tensor], axis, size, vector=tensor.ndim == 1)
                shape = [1] * tensor.ndim
                shape[axis] = size
                parts.append(wires.reshape(shape).expand(tensor.shape))
        return Labels(tuple(parts), derived=True)

    def set(self, result: Any, labels: Labels) -> None:
        """Give labels to a result, or the same to all of several results."""
        for tensor in tensors_in(result):
            self._known[tensor] = labels

    def give(
        self, result: Tensor, parts: Iterable[Tensor], derived: bool = False, *, settles: bool = True
    ) -> None:
        """Give a result its labels. Wires that are met here first are this result's, if it ``settles``."""
        kept = []
        for label in parts:
            if varying(label):
                if settles:
                    self.wires.settle(label)
                kept.append(label.expand(result.shape))
            else:  # one channel alone: it cannot be told from the network's other inputs
                self.wires.fix(along(label, ()))
        self._known[result] = Labels(tuple(kept), derived)

    def fix(self, value: Any) -> None:
        """Let all wires of a tensor, or of several, stay where they are."""
        for tensor in tensors_in(value):
            for label in self.labels(tensor).parts:
                self.wires.fix(along(label, varying(label)))

    def kept(self, tensor: Tensor, axes: Iterable[int]) -> list[Tensor]:
        """The labels of a tensor that vary along some axes alone; all others stay where they are."""
        allowed, found = frozenset(axes), []
        for label in self.labels(tensor).parts:
            if varying(label) <= allowed:
                found.append(label)
            else:
                self.wires.fix(along(label, varying(label)))
        return found

    def inside(self, weight: Tensor, axis: int, size: int, rows: tuple[int, int]) -> Tensor:
        """The wires (size,) of an axis of a weight of the state, in some of its rows alone."""
        key = (self.state[weight], axis, rows)
        if key not in self._inside:
            self._inside[key] = self.wires.new_axis(self.state[weight], axis, size, rows)
        return self._inside[key]

    def _forget(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """An operation without a rule: what goes in stays where it is."""
        self.unknown.setdefault(str(func), self.node)
        self.fix((args, kwargs))
        self.set(result, Labels())
        if _writes(func):
            self._tainted.update(each.untyped_storage()._cdata for each in tensors_in(result))

    def input(self, value: Any) -> None:
        """What is put into the network stays as it is, and is not known before."""
        self.set(value, Labels())

    def see(self, result: Tensor, step: int = -1) -> None:
        """Note features, if they are of one axis and no mere view of earlier ones."""
        labels = self.labels(result)
        if not self.seeing or labels.derived or labels.constant or len(labels.parts) != 1:
            return
        axes = varying(labels.parts[0])
        if len(axes) == 1:
            (axis,) = axes
            self.features.append(Feature(self.place, self.node, step, axis, vector(labels.parts[0], axis)))


@rule(
    "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "new_empty", "new_zeros",
    "new_ones", "new_full", "new_empty_strided", "randint_like",
)  # fmt: skip
def made(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """What takes nothing but the shape."""
    flow.set(result, Labels(constant=True))


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors in nested arguments or results."""
    if isinstance(value, Tensor):
        return [value]
    return [each for each in tree_leaves(value) if isinstance(each, Tensor)]


def _writes(func: Any) -> bool:
    return func._schema.is_mutable and bool(func._schema.arguments) and func._schema.arguments[0].is_write


@rule(
    "hardswish", "hardswish_", "mish_", "threshold_", "rrelu_with_noise", "log_sigmoid_forward", "prelu",
    "_prelu_kernel", "gelu_", "copy_", "copy", "fill_", "fill", "zero_", "masked_fill_", "rsub",
    "floor_divide",
)  # fmt: skip
def pointwise(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """An operation on entries that stand at the same place."""
    given = tensors_in((args, kwargs))
    outputs = tensors_in(result)
    shape = outputs[0].shape
    met = joined(flow.wires, [side(flow.labels(each), each, shape) for each in given])
    for output in outputs:
        flow.give(output, met.parts, met.derived)
