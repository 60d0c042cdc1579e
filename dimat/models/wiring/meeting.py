"""Rules for products: matrices, convolutions, look-ups."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dimat.models.wiring.flow import Flow, rule
from dimat.models.wiring.labels import Labels, Side, along, joined, meet, reduced, side, varying, vector

aten = torch.ops.aten


def product(flow: Flow, one: Tensor, other: Tensor, result: Tensor) -> Side:
    """The labels of a product of matrices (..., n, k) and (..., k, m), over k."""
    batch = one.shape[:-2]
    shape = (*batch, one.shape[-2], one.shape[-1], other.shape[-1])
    ones = _widened(flow.labels(one), one, -1, shape)
    others = _widened(flow.labels(other), other, -3, shape)
    met = meet(flow.wires, ones, others)
    parts = reduced(flow.wires, met.parts, frozenset([len(shape) - 2]))
    return Side([part.squeeze(-2) for part in parts], frozenset(), False)


def _widened(labels: Labels, tensor: Tensor, axis: int, shape: Sequence[int]) -> Side:
    wide = Labels(tuple(part.unsqueeze(axis) for part in labels.parts), False, labels.constant)
    return side(wide, tensor.unsqueeze(axis), shape)


@rule("mm", "bmm")
def matrices(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """(..., n, k) times (..., k, m)."""
    flow.give(result, product(flow, args[0], args[1], result).parts)


@rule("addmm", "baddbmm")
def matrices_and_more(
    flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any
) -> None:
    """A product of matrices, and a summand."""
    met = product(flow, args[1], args[2], result)
    made = Side(
        [part.expand(result.shape) for part in met.parts],
        frozenset(axis for axis in range(result.ndim) if result.shape[axis] > 1),
        False,
    )
    for part in made.parts:
        flow.wires.settle(part)
    both = meet(flow.wires, made, side(flow.labels(args[0]), args[0], result.shape))
    flow.give(result, both.parts)


@rule("mv")
def matrix_and_vector(
    flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any
) -> None:
    """(n, k) times (k,)."""
    shape = args[0].shape
    ones, others = (side(flow.labels(each), each, shape) for each in args[:2])
    parts = reduced(flow.wires, meet(flow.wires, ones, others).parts, frozenset([1]))
    flow.give(result, [part.squeeze(1) for part in parts])


@rule("dot", "vdot")
def vectors(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """The inner product of two vectors."""
    ones, others = (side(flow.labels(each), each, args[0].shape) for each in args[:2])
    reduced(flow.wires, meet(flow.wires, ones, others).parts, frozenset([0]))
    flow.give(result, [])


@rule("linear")
def linear(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """(..., k) times (m, k) transposed, and a bias."""
    source, weight, *more = args
    shape = (*source.shape[:-1], *weight.shape)
    wide = Labels(
        tuple(part.unsqueeze(-2) for part in flow.labels(source).parts), False, flow.labels(source).constant
    )
    ones = side(wide, source.unsqueeze(-2), shape)
    others = side(flow.labels(weight), weight, shape)
    parts = reduced(flow.wires, meet(flow.wires, ones, others).parts, frozenset([len(shape) - 1]))
    bias = more[0] if more else kwargs.get("bias")
    _with_bias(flow, [part.squeeze(-1).expand(result.shape) for part in parts], bias, result, result.ndim - 1)


def _with_bias(flow: Flow, parts: list[Tensor], bias: Tensor | None, result: Tensor, axis: int) -> None:
    for part in parts:
        flow.wires.settle(part)
    if bias is not None:
        shape = [1] * result.ndim
        shape[axis] = -1
        own = flow.labels(bias)
        seen = Labels(tuple(part.reshape(shape) for part in own.parts), own.derived, own.constant)
        present = frozenset(place for place in range(result.ndim) if result.shape[place] > 1)
        made = Side([part.expand(result.shape) for part in parts], present, False)
        parts = meet(flow.wires, made, side(seen, bias.reshape(shape), result.shape)).parts
    flow.give(result, parts)


@rule("convolution", "_convolution", "cudnn_convolution", "mkldnn_convolution")
def convolution(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Channels of patches, mixed: all with all, or inside groups."""
    source, weight, bias, _, _, _, transposed, _, groups = args[:9]
    channels = [vector(label, 1) for label in flow.kept(source, [1])]
    takes, gives = (0, 1) if transposed else (1, 0)
    if groups == 1:
        parts = _mixed(flow, source, channels, weight, takes, gives)
    elif groups == source.shape[1] and (not transposed or weight.shape[1] == 1):
        parts = _one_by_one(flow, source, channels, weight)
    else:
        parts = _grouped(flow, source, channels, weight, groups, transposed)
    shape = [1] * result.ndim
    shape[1] = -1
    shown = [part.reshape(shape).expand(result.shape) for part in parts]
    _with_bias(flow, shown, bias, result, 1)
    if 1 < groups == source.shape[1]:
        repeated = weight.shape[0] > groups
        flow.set(result, Labels(flow.labels(result).parts, repeated or flow.labels(source).derived))


def _mixed(
    flow: Flow, source: Tensor, channels: list[Tensor], weight: Tensor, takes: int, gives: int
) -> list[Tensor]:
    """Every channel that is put out sums over all that come in."""
    labels = flow.labels(weight)
    parts = [part for part in flow.kept(weight, [0, 1])]
    for part in parts:
        if varying(part) == frozenset([0, 1]):
            flow.wires.fix(part)
    rows = [vector(part, gives) for part in parts if varying(part) == {gives}]
    columns = [vector(part, takes) for part in parts if varying(part) == {takes}]
    size = source.shape[1]
    one = Side(channels, frozenset([0] if size > 1 else []), False)
    other = Side(columns, frozenset([0] if size > 1 else []), False)
    if labels.constant:
        other.constant = weight.movedim(takes, 0).flatten(1)
        one.parts = [label.reshape(-1, 1).expand(-1, other.constant.shape[1]) for label in channels]
    met = meet(flow.wires, one, other)
    reduced(flow.wires, met.parts, frozenset([0, 1]))
    return rows


def _one_by_one(flow: Flow, source: Tensor, channels: list[Tensor], weight: Tensor) -> list[Tensor]:
    """Each channel has filters of its own, one or more."""
    size, factor = source.shape[1], weight.shape[0] // source.shape[1]
    shown = [label.repeat_interleave(factor) for label in channels]
    labels = flow.labels(weight)
    present = frozenset([0] if size * factor > 1 else [])
    one = Side(shown, present, flow.labels(source).derived)
    other = Side([vector(part, 0) for part in flow.kept(weight, [0])], present, True)
    if labels.constant:
        other.constant = weight.flatten(1)
        one.parts = [label.reshape(-1, 1).expand(-1, other.constant.shape[1]) for label in shown]
        meet(flow.wires, one, other)
        return shown
    return joined(flow.wires, [one, other]).parts


def _grouped(
    flow: Flow, source: Tensor, channels: list[Tensor], weight: Tensor, groups: int, transposed: bool
) -> list[Tensor]:
    """Channels are mixed inside groups, each with rows of the weight of its own."""
    size = source.shape[1] // groups
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    if weight not in flow.state or transposed:
        for label in channels:
            flow.wires.fix(label)
        flow.fix(weight)
        return []
    labels = flow.labels(weight)
    rows = [vector(part, 0) for part in labels.parts if varying(part) == {0}]
    for part in labels.parts:
        if varying(part) != {0}:
            flow.wires.fix(along(part, varying(part)))  # only inside of a group's rows do they move
    each = outputs // groups
    for label in rows:
        flow.wires.colour(label, torch.arange(groups).repeat_interleave(each))
    if size > 1 and not channels:
        return rows
    for label in channels:
        flow.wires.colour(label, torch.arange(groups).repeat_interleave(size))
        for group in range(groups) if size > 1 else ():
            part = label[group * size : (group + 1) * size]
            inside = flow.inside(weight, 1, size, (group * each, (group + 1) * each))
            flow.wires.settle(inside, part)
            flow.wires.unite(part, inside)
    return rows


@rule("embedding")
def looked_up(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Rows of a table."""
    parts = [vector(part, 1) for part in flow.kept(args[0], [1])]
    flow.fix(args[1])
    flow.give(result, [part.expand(result.shape) for part in parts])
