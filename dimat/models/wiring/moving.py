"""Rules for what only moves entries: it is done to labels as it is to data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from dimat.models.wiring.flow import Flow, rule, tensors_in
from dimat.models.wiring.labels import Labels, along, compact, varying, vector
from dimat.models.wiring.wires import ALIKE, INERT

aten = torch.ops.aten
OTHERWISE = {
    aten.view: aten.reshape,
    aten._unsafe_view: aten.reshape,
    aten.transpose_: aten.transpose,
    aten.t_: aten.t,
    aten.squeeze_: aten.squeeze,
    aten.unsqueeze_: aten.unsqueeze,
    aten.swapaxes_: aten.swapaxes,
}
"""What is done to labels instead: their memory lies otherwise, and they are not to be changed."""


@rule("alias", "detach", "clone", "_to_copy", "contiguous", "lift_fresh", "view_as", "positive", "_conj")
def same(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """What stays as it is."""
    flow.set(result, flow.labels(args[0]))


@rule("pixel_shuffle")
def spread_out(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Channels as positions of fewer channels: those that make up one of these move together."""
    parts = []
    for label in flow.labels(args[0]).parts:
        moved_label = compact(func(label, *args[1:], **kwargs))
        channel = along(moved_label, range(moved_label.ndim - 2))
        if channel.shape != moved_label.shape:
            flow.wires.unite(channel.expand(moved_label.shape), moved_label)
        parts.append(channel.expand(moved_label.shape))
    flow.give(result, parts, derived=False)


@rule("as_strided_")
def laid_out(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """The same entries in another order in memory, if the shape is the same."""
    labels = flow.labels(args[0])
    if any(part.shape != result.shape for part in labels.parts):
        flow.fix(args[0])
        labels = Labels()
    flow.set(result, labels)


@rule("native_dropout", "dropout", "alpha_dropout", "feature_dropout")
def dropped(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """What is dropped at random is so for each channel alike."""
    flow.set(result, flow.labels(args[0]))


@rule(
    "view", "_unsafe_view", "reshape", "permute", "transpose", "t", "expand", "unsqueeze", "squeeze",
    "roll", "flip", "rot90", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle",
    "repeat", "movedim", "numpy_T", "mT", "unfold", "swapaxes", "unflatten", "flatten", "repeat_interleave",
    "transpose_", "t_", "squeeze_", "unsqueeze_", "swapaxes_",
)  # fmt: skip
def moved(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """The same entries, elsewhere."""
    _do_to_labels(flow, func, args, kwargs, result, derived=False)


@rule(
    "slice", "select", "narrow", "split", "split_with_sizes", "unbind", "chunk", "diagonal", "unsafe_split",
    "unsafe_chunk", "unsafe_split_with_sizes",
)  # fmt: skip
def cut(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Some of the entries."""
    _do_to_labels(flow, func, args, kwargs, result, derived=True)


@rule("index", "index_select", "gather", "take")
def picked(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Some of the entries, by places that hang on nothing but constants."""
    where = tensors_in((args[1:], kwargs))
    if all(flow.labels(each).constant for each in where):
        _do_to_labels(flow, func, args, kwargs, result, derived=True)
    else:
        flow.fix((args, kwargs))
        flow.set(result, Labels())


def _do_to_labels(
    flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, derived: bool
) -> None:
    source, rest = args[0], args[1:]
    labels = flow.labels(source)
    flow.fix([each for each in tensors_in((rest, kwargs)) if flow.labels(each).parts])
    called = OTHERWISE.get(func.overloadpacket) or func
    rest, kwargs = tree_map(_here, (tuple(rest), dict(kwargs)))
    views = [tensors_in(called(label, *rest, **kwargs)) for label in labels.parts]
    if derived:
        for label, pieces in zip(labels.parts, views, strict=True):
            tell_pieces(flow, label, pieces)
    for place, output in enumerate(tensors_in(result)):
        parts = tuple(compact(of_label[place]) for of_label in views)
        whole = output.shape == source.shape or not derived
        flow.give(output, parts, labels.derived or not whole, settles=False)


def tell_pieces(flow: Flow, label: Tensor, pieces: Sequence[Tensor]) -> None:
    """Tell apart wires that go into different pieces: what is done to one piece is not done to others."""
    all_wires = along(label, varying(label)).unique()
    for place, piece in enumerate(pieces):
        own = along(piece, varying(piece))
        if len(own.unique()) < len(all_wires):
            flow.wires.colour(own, [place])


def _here(value: Any) -> Any:
    return value.cpu() if isinstance(value, Tensor) else value


@rule(
    "constant_pad_nd", "pad", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d"
)
def padded(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Entries with others around them: constants, which are alike, or their own."""
    labels = flow.labels(args[0])
    if func.overloadpacket is aten.constant_pad_nd:
        made = [aten.constant_pad_nd(label, args[1], ALIKE) for label in labels.parts]
        shown = []
        for label, new in zip(labels.parts, made, strict=True):
            axes = varying(label)
            own = new
            for axis in range(new.ndim):
                if axis not in axes:  # along other axes, what is put around is alike for all channels
                    before = _before(args[1], axis, new.ndim)
                    own = own.narrow(axis, max(before, 0), 1)
            shown.append(own.expand(new.shape))
        parts = shown
    else:
        parts = [func(label.double(), *args[1:], **kwargs).long() for label in labels.parts]
    flow.give(result, [compact(label) for label in parts], labels.derived)


def _before(pads: Sequence[int], axis: int, ndim: int) -> int:
    place = 2 * (ndim - 1 - axis)
    return pads[place] if place < len(pads) else 0


@rule("im2col")
def unfolded(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Patches as columns: each channel's entries side by side."""
    parts = []
    for label in flow.kept(args[0], [1]):
        channels = vector(label, 1)
        size = result.shape[1] // len(channels)
        parts.append(channels.repeat_interleave(size).reshape(1, -1, 1).expand(result.shape))
    flow.give(result, parts, True)


@rule("cat", "concat", "stack")
def beside(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Tensors side by side."""
    sources = [each for each in args[0] if each.numel() > 0 or each.ndim > 1]
    axis = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % result.ndim
    given = [flow.labels(each) for each in sources]
    if func.overloadpacket is aten.stack:  # side by side along a new axis
        sources = [each.unsqueeze(axis) for each in sources]
        given = [replace(each, parts=tuple(part.unsqueeze(axis) for part in each.parts)) for each in given]
    parts: list[Tensor] = []
    kinds = {frozenset(varying(label) - {axis}) for each in given for label in each.parts}
    crossing = {varying(label) - {axis} for each in given for label in each.parts if axis in varying(label)}
    if axis == result.ndim - 1 and len(sources) == result.shape[axis]:
        crossing = kinds - {frozenset()}  # single channels of each head, say: they keep wires of their own
    for kind in kinds - crossing:
        parts += _alongside(flow, sources, given, kind, result)
    for kind in crossing:
        pieces = []
        for source, labels in zip(sources, given, strict=True):
            own = [label for label in labels.parts if varying(label) == kind | {axis}]
            own = own or [label for label in labels.parts if varying(label) == kind and kind]
            if own:
                pieces.append(own[0].expand(source.shape))
            else:
                alike = labels.constant and bool((source == source.ravel()[:1]).all())
                pieces.append(torch.tensor(ALIKE if alike else INERT).expand(source.shape))
        parts.append(_concatenated(pieces, axis, kind | {axis}).expand(result.shape))
    flow.give(result, parts, derived=True)


def _concatenated(pieces: Sequence[Tensor], axis: int, axes: frozenset[int]) -> Tensor:
    return torch.cat([along(piece, axes | {axis}) for piece in pieces], axis)


def _alongside(
    flow: Flow, sources: Sequence[Tensor], given: Sequence[Labels], kind: frozenset[int], result: Tensor
) -> list[Tensor]:
    """Labels that vary along other axes than the one along which tensors stand side by side: they meet."""
    found: Tensor | None = None
    inert = False
    for labels in given:
        own = [label for label in labels.parts if varying(label) == kind]
        if not own:
            inert = inert or not labels.constant
        elif found is None:
            found = along(own[0], kind)
        else:
            other = along(own[0], kind)
            flow.wires.settle(other, found)
            flow.wires.unite(found, other)
    assert found is not None
    if inert or any(labels.constant for labels in given):
        flow.wires.fix(found)
    return [found.expand(result.shape)]
