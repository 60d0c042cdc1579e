"""Labels: which wire every entry of a tensor carries.

A tensor of features has one label, which varies along its channels; a weight has one for each axis; products
of queries and keys have one that varies along heads. A label has the shape of its tensor and is expanded
(stride 0) along axes where it does not vary, so that what moves data is simply done to labels as well. A
tensor without labels stays as it is, whatever is permuted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from dimat.models.wiring.wires import INERT, Wires


@dataclass(frozen=True)
class Labels:
    """What is known of a tensor. ``derived``: it is but a pooled, cut or joined view of earlier features."""

    parts: tuple[Tensor, ...] = ()
    derived: bool = False
    constant: bool = False


def varying(label: Tensor) -> frozenset[int]:
    """The axes along which a label varies."""
    return frozenset(axis for axis in range(label.ndim) if label.stride(axis) != 0 and label.shape[axis] > 1)


def compact(label: Tensor) -> Tensor:
    """The same label, expanded along all axes where it does not vary."""
    shape, small = label.shape, label
    for axis in range(label.ndim):
        if small.shape[axis] > 1:
            first = small.narrow(axis, 0, 1)
            if small.stride(axis) == 0 or bool((small == first).all()):
                small = first
    return small.expand(shape)


def along(label: Tensor, axes: Iterable[int]) -> Tensor:
    """A label cut to size 1 along all axes but some."""
    kept = set(axes)
    for axis in range(label.ndim):
        if axis not in kept and label.shape[axis] > 1:
            label = label.narrow(axis, 0, 1)
    return label


def vector(label: Tensor, axis: int) -> Tensor:
    """A label that varies along one axis at most, as a vector along it."""
    return along(label, [axis]).reshape(-1)


@dataclass
class Side:
    """An operand, broadcast to a common shape: its labels, and the axes along which it is not all alike."""

    parts: list[Tensor]
    present: frozenset[int]
    derived: bool
    constant: Tensor | None = None


def side(labels: Labels, tensor: Tensor, shape: Sequence[int]) -> Side:
    """An operand of an operation whose result has a ``shape``."""
    more = len(shape) - tensor.ndim
    present = frozenset(
        axis + more for axis in range(tensor.ndim) if tensor.shape[axis] > 1 and tensor.stride(axis) != 0
    )
    parts = [label.expand(tuple(shape)) for label in labels.parts]
    constant = tensor.reshape((1,) * more + tuple(tensor.shape)) if labels.constant else None
    return Side(parts, present, labels.derived, constant)


def meet(wires: Wires, one: Side, other: Side) -> Side:
    """What two operands give that meet entry by entry."""
    if one.constant is not None or other.constant is not None:
        kept, constant = (other, one.constant) if one.constant is not None else (one, other.constant)
        assert constant is not None
        for label in kept.parts:
            tell_apart(wires, label, constant)
        present = one.present | other.present
        both = one.constant is not None and other.constant is not None
        return Side(kept.parts, present, kept.derived, one.constant if both else None)
    ones, others = held(wires, one, other)
    ones, others = combined(wires, ones, others), combined(wires, others, ones)
    found: list[Tensor] = []
    used: set[int] = set()
    for label in ones:
        axes, kept = varying(label), label
        for place, met in enumerate(others):
            if axes & varying(met):
                used.add(place)
                kept = _meet(wires, kept, met, axes, varying(met))
        found.append(kept)
    found += [label for place, label in enumerate(others) if place not in used]
    inert = [not each.parts and bool(each.present) for each in (one, other)]
    derived = (one.derived or inert[0]) and (other.derived or inert[1])
    return Side(found, one.present | other.present, derived)


def held(wires: Wires, one: Side, other: Side) -> tuple[list[Tensor], list[Tensor]]:
    """The labels of two operands that do not meet, along an axis of theirs, entries that stay as they are.

    All others stay where they are, and are no labels any more; nor are those that meet them.
    """
    sides, dropped = ([*one.parts], [*other.parts]), True
    while dropped:
        dropped = False
        for parts, others, present in ((*sides, other.present), (*reversed(sides), one.present)):
            for place, label in reversed(list(enumerate(parts))):
                axes = varying(label)
                met = frozenset(axis for each in others for axis in varying(each) if varying(each) & axes)
                if (axes & present) - met:
                    wires.fix(along(label, axes))
                    del parts[place]
                    dropped = True
    return sides


def combined(wires: Wires, labels: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """Labels in which those that vary along one axis, where they meet others, are one label of pairs."""
    met = frozenset(axis for other in others for axis in varying(other))
    found: list[Tensor] = []
    for label in labels:
        axes = varying(label)
        if axes & met:
            for place, before in enumerate(found):
                if varying(before) & axes:
                    whole = varying(before) | axes
                    pair = torch.broadcast_tensors(along(before, whole), along(label, whole))
                    steady(wires, *pair)
                    found[place] = _pairs(wires, pair).expand(label.shape)
                    break
            else:
                found.append(label)
        else:
            found.append(label)
    return found


def _meet(wires: Wires, one: Tensor, other: Tensor, axes: frozenset[int], others: frozenset[int]) -> Tensor:
    """The label of what carries two labels that vary along ``axes`` and along ``others``."""
    if axes == others:
        first, second = along(one, axes), along(other, axes)
        if first is not second:
            steady(wires, first, second)
            wires.settle(second, first)
            wires.unite(first, second)
            if bool((first <= 0).any()):
                one = torch.maximum(first, second).expand(one.shape)
        return one
    if axes < others or others < axes:
        upper, lower = (one, other) if axes < others else (other, one)
        whole = axes | others
        top, low = torch.broadcast_tensors(along(upper, whole), along(lower, whole))
        steady(wires, top, low)
        pairs = numpy.unique(numpy.stack([wires.roots(x.numpy().ravel()) for x in (top, low)]), axis=1)
        if len(numpy.unique(pairs[1])) == pairs.shape[1]:
            wires.put_under(top, low)
            return lower
        new = _pairs(wires, [top, low]).expand(one.shape)
        return new
    for label, theirs in ((one, axes), (other, others)):
        wires.fix(along(label, theirs))
    return one


def steady(wires: Wires, one: Tensor, other: Tensor) -> None:
    """Let wires stay that meet an entry that stays."""
    mixed = ((one == INERT) & (other > 0)) | ((other == INERT) & (one > 0))
    wires.fix(torch.where(mixed, torch.maximum(one, other), INERT))


def _pairs(wires: Wires, tops: Sequence[Tensor]) -> Tensor:
    """A new wire for each combination of wires that occurs, under all of them."""
    shape = tops[0].shape
    stack = numpy.stack([wires.roots(x.numpy().ravel()) for x in tops])
    kinds, inverse = numpy.unique(stack, axis=1, return_inverse=True)
    new = wires.new(kinds.shape[1])[torch.from_numpy(inverse.ravel())].reshape(shape)
    for top in tops:
        wires.put_under(top, new)
    return new


def tell_apart(wires: Wires, label: Tensor, constant: Tensor) -> None:
    """Colour wires by the entries of a constant that meets them."""
    axes = sorted(axis for axis in varying(label) if constant.shape[axis] > 1)
    if not axes:
        return
    if constant.device.type == "meta":
        wires.fix(along(label, varying(label)))
        return
    rows = constant.movedim(axes, tuple(range(len(axes))))
    sizes = rows.shape[: len(axes)]
    rows = rows.reshape(sizes.numel(), -1)
    if bool((rows == rows[:1]).all()):
        return
    _, kinds = numpy.unique(rows.detach().double().cpu().numpy(), axis=0, return_inverse=True)
    colours = torch.from_numpy(kinds.reshape(tuple(sizes)))
    whole = along(label, varying(label))
    shape = [sizes[axes.index(axis)] if axis in axes else 1 for axis in range(label.ndim)]
    wires.colour(whole, colours.reshape(shape).expand(whole.shape))


def joined(wires: Wires, sides: Sequence[Side]) -> Side:
    """What several operands give that meet entry by entry."""
    found = sides[0]
    for each in sides[1:]:
        found = meet(wires, found, each)
    return found


def reduced(wires: Wires, parts: Iterable[Tensor], axes: frozenset[int]) -> list[Tensor]:
    """The labels of what is summed over ``axes``, which are kept with size 1.

    What is summed moves as a whole: wires that are summed together are told from others, or are put under
    a new wire for their sum.
    """
    found = []
    for label in parts:
        own = varying(label)
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(label.shape))
        if not own & axes:
            found.append(along(label, set(range(label.ndim)) - axes))
        elif own <= axes:
            whole = along(label, own)
            if not _is_axis(wires, whole):
                wires.colour(whole, [0])
        else:
            whole = along(label, own)
            found.append(_sums(wires, whole, own - axes).expand(shape))
    return found


def _sums(wires: Wires, label: Tensor, kept: frozenset[int]) -> Tensor:
    """New wires for sums over all axes but the ``kept`` ones; one for sums over the same wires."""
    order = sorted(kept)
    rows = label.movedim(order, tuple(range(len(order))))
    shape = rows.shape[: len(order)]
    flat = wires.roots(rows.reshape(shape.numel(), -1).numpy().clip(0))
    _, kinds = numpy.unique(flat, axis=0, return_inverse=True)
    kinds = torch.from_numpy(kinds.ravel())
    sums = wires.new(int(kinds.max()) + 1)[kinds]
    found = sums.reshape([label.shape[axis] if axis in kept else 1 for axis in range(label.ndim)])
    wires.put_under(found, label)
    stays = (rows.reshape(shape.numel(), -1) == INERT).any(1)
    wires.fix(sums[stays])
    return found


def _is_axis(wires: Wires, label: Tensor) -> bool:
    """Whether these are all the wires of one axis of the state: they move as a whole as it is."""
    flat = label.numpy().ravel()
    number = wires.axis_of[flat[0]] if flat[0] > 0 else -1
    return bool(number >= 0 and wires.axes[number].size == len(flat) and (numpy.diff(flat) == 1).all())
