"""Rules for sums, normalizations and pooling."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dimat.models.wiring.flow import Flow, rule, tensors_in
from dimat.models.wiring.labels import Labels, Side, along, meet, reduced, side
from dimat.models.wiring.moving import tell_pieces

aten = torch.ops.aten


def _axes(given: Any, ndim: int) -> frozenset[int]:
    if given is None or given == []:
        return frozenset(range(ndim))
    terms = given if isinstance(given, list | tuple) else [given]
    return frozenset(axis % max(ndim, 1) for axis in terms)


@rule(
    "mean", "sum", "amax", "amin", "var", "std", "var_mean", "std_mean", "prod", "logsumexp", "all", "any",
    "linalg_vector_norm", "norm", "max", "min", "nansum", "aminmax",
)  # fmt: skip
def sums(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """What is summed over axes, and no more than that."""
    if func.overloadpacket in (aten.max, aten.min) and len(tensors_in(args)) == 2:
        _pairwise(flow, args, result)
        return
    source = args[0]
    names = [argument.name for argument in func._schema.arguments]
    values = dict(zip(names, args, strict=False)) | dict(kwargs)
    if func.overloadpacket in (aten.max, aten.min, aten.prod, aten.all, aten.any) and "dim" not in names:
        axes = frozenset(range(source.ndim))
    else:
        axes = _axes(values.get("dim"), source.ndim)
    labels = flow.labels(source)
    parts = reduced(flow.wires, labels.parts, axes)
    for output in tensors_in(result):
        if not output.is_floating_point():  # places of extremes along an axis
            flow.set(output, Labels())
            continue
        shown = parts
        if output.ndim < source.ndim:
            shown = [_squeezed(part, axes) for part in parts]
        flow.give(output, shown, derived=True)


def _squeezed(part: Tensor, axes: frozenset[int]) -> Tensor:
    return part.reshape([size for axis, size in enumerate(part.shape) if axis not in axes])


def _pairwise(flow: Flow, args: Sequence[Any], result: Tensor) -> None:
    one, other = (side(flow.labels(each), each, result.shape) for each in args[:2])
    met = meet(flow.wires, one, other)
    flow.give(result, met.parts, met.derived)


@rule("_softmax", "_log_softmax", "softmax", "log_softmax", "_safe_softmax")
def shares(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Entries over their sum along an axis."""
    labels = flow.labels(args[0])
    reduced(flow.wires, labels.parts, _axes(args[1], args[0].ndim))
    flow.give(result, labels.parts)


@rule("cumsum", "cumprod", "logcumsumexp", "sort", "argsort", "topk")
def ordered(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """What hangs on the order along an axis: wires along it stay."""
    source = args[0]
    if func.overloadpacket in (aten.cumsum, aten.cumprod, aten.logcumsumexp):
        axis = args[1] % max(source.ndim, 1)
        flow.give(result, flow.kept(source, set(range(source.ndim)) - {axis}))
    else:
        flow.fix(source)
        flow.set(result, Labels())


def normalized(
    flow: Flow, result: Any, source: Tensor, tensors: Sequence[Tensor | None], axes: range
) -> None:
    """Each channel scaled and shifted, with entries of ``tensors`` of its own along ``axes``."""
    output = tensors_in(result)[0]
    labels = flow.labels(source)
    made = side(labels, source, source.shape)
    for tensor in tensors:
        if tensor is not None:
            shape = [1] * source.ndim
            for place, axis in enumerate(axes):
                shape[axis] = tensor.shape[place]
            own = flow.labels(tensor)
            seen = Labels(tuple(part.reshape(shape) for part in own.parts), own.derived, own.constant)
            made = meet(flow.wires, made, side(seen, tensor.reshape(shape), source.shape))
    for each in tensors_in(result)[1:]:
        flow.set(each, Labels())
    flow.give(output, made.parts, labels.derived)


@rule(
    "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm", "_batch_norm_with_update", "_batch_norm_no_update", "miopen_batch_norm", "batch_norm",
)  # fmt: skip
def batch_norm(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Each channel by its own mean and variance."""
    tensors = [each for each in args[1:5] if isinstance(each, Tensor)]
    normalized(flow, result, args[0], tensors, range(1, 2))


@rule("native_layer_norm", "layer_norm", "_fused_rms_norm", "rms_norm")
def layer_norm(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """All entries along the last axes by their mean and variance."""
    source, shape = args[0], args[1]
    axes = range(source.ndim - len(shape), source.ndim)
    reduced(flow.wires, flow.labels(source).parts, frozenset(axes))
    normalized(flow, result, source, [each for each in args[2:4] if isinstance(each, Tensor)], axes)


@rule("native_group_norm", "group_norm")
def group_norm(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Channels of one group by their common mean and variance; groups stay where they are."""
    source, weight, bias, groups = args[0], args[1], args[2], args[6]
    parts = flow.kept(source, [1])
    if groups not in (1, source.shape[1]):
        for part in parts:
            channels = along(part, [1]).reshape(-1)
            size = len(channels) // groups
            flow.wires.colour(channels, torch.arange(groups).repeat_interleave(size))
    elif groups == 1:
        reduced(flow.wires, parts, frozenset(range(1, source.ndim)))
    flow.set(source, Labels(tuple(parts), flow.labels(source).derived))
    normalized(flow, result, source, [weight, bias], range(1, 2))


@rule("_weight_norm_interface", "_weight_norm")
def weight_norm(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """A direction over its norm along all axes but one, times a length."""
    direction, length = args[0], args[1]
    axis = args[2] if len(args) > 2 else 0
    reduced(flow.wires, flow.labels(direction).parts, frozenset(range(direction.ndim)) - {axis})
    output = tensors_in(result)[0]
    made = meet(
        flow.wires,
        side(flow.labels(direction), direction, direction.shape),
        side(flow.labels(length), length, direction.shape),
    )
    for each in tensors_in(result)[1:]:
        flow.set(each, Labels())
    flow.give(output, made.parts, derived=True)


POOLED = {
    name: 2
    for name in (
        "avg_pool2d", "max_pool2d_with_indices", "_adaptive_avg_pool2d", "adaptive_avg_pool2d",
        "adaptive_max_pool2d", "mkldnn_max_pool2d", "upsample_nearest2d", "_upsample_nearest_exact2d",
        "upsample_bilinear2d", "upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa",
        "grid_sampler_2d", "fractional_max_pool2d", "max_pool2d",
    )
}  # fmt: skip
POOLED |= {
    name: 1
    for name in ("avg_pool1d", "adaptive_avg_pool1d", "adaptive_max_pool1d", "upsample_nearest1d",
                 "upsample_linear1d", "max_pool1d", "max_pool1d_with_indices")
}  # fmt: skip
POOLED |= {
    name: 3
    for name in ("avg_pool3d", "max_pool3d_with_indices", "_adaptive_avg_pool3d", "adaptive_avg_pool3d",
                 "adaptive_max_pool3d", "upsample_nearest3d", "upsample_trilinear3d")
}  # fmt: skip


@rule(*POOLED)
def pooled(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """Positions of each channel, made fewer or more."""
    source = args[0]
    count = POOLED[func.overloadpacket.__name__]
    flow.fix([each for each in tensors_in((args[1:], kwargs)) if flow.labels(each).parts])
    parts = flow.kept(source, range(source.ndim - count))
    for output in tensors_in(result):
        spread = [along(part, range(source.ndim - count)) for part in parts]
        flow.give(output, [part.expand(output.shape) for part in spread], derived=True)


@rule("glu")
def gated(flow: Flow, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
    """The first half of an axis, weighed by the second."""
    source = args[0]
    axis = (args[1] if len(args) > 1 else -1) % source.ndim
    halves = [[], []]
    for part in flow.labels(source).parts:
        pieces = part.chunk(2, axis)
        tell_pieces(flow, part, pieces)
        for half, piece in zip(halves, pieces, strict=True):
            half.append(piece)
    present = frozenset(place for place in range(source.ndim) if result.shape[place] > 1)
    one, other = (Side(half, present, False) for half in halves)
    flow.give(result, meet(flow.wires, one, other).parts)
