"""What others give to be merged: networks in wrappers, and images as loaders have them."""

import copy
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from dimat.errors import InputError
from dimat.models.explaining import explained
from dimat.models.modes import evaluated
from dimat.models.passes import Pass

WRAPPERS = ("DataParallel", "DistributedDataParallel", "AveragedModel", "OptimizedModule")
IMAGE_KEYS = ("images", "image", "pixel_values", "inputs", "input", "x", "img", "data")
"""Names under which loaders give images, by rank."""


class NotUsable(InputError, ValueError):
    """Networks or images that cannot be merged, or looked at."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The network itself, without what makes it run in parallel, compiled, or averaged over steps."""
    while type(model).__name__ in WRAPPERS:
        inner = getattr(model, "_orig_mod", None) or getattr(model, "module", None)
        if not isinstance(inner, nn.Module):
            break
        model = inner
    return model


def check_networks(models: Sequence[Any]) -> None:
    """`NotUsable` unless all are networks whose tensors have the same names and shapes, and finite values."""
    if not models:
        raise NotUsable("models: none are given; expected two or more networks of one architecture")
    for number, model in enumerate(models):
        if not isinstance(model, nn.Module):
            raise NotUsable(f"models: network {number} is of type {type(model).__name__}; expected nn.Module")
        if any(isinstance(each, nn.UninitializedParameter) for each in model.parameters()):
            raise NotUsable(
                f"models: network {number} has parameters without a shape; expected one that has seen images"
            )
        check_arguments(number, model)
    states = [tensors_of(model) for model in models]
    for number, state in enumerate(states):
        for name in dict.fromkeys([*states[0], *state]):
            check_tensor(number, name, states[0].get(name), state.get(name))


def check_arguments(number: int, model: nn.Module) -> None:
    """`NotUsable` if a forward pass requires more than the images."""
    try:
        arguments = list(inspect.signature(model.forward).parameters.values())
    except (TypeError, ValueError):  # code that does not say what it takes
        return
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [each for each in arguments if each.default is each.empty]
    images = next((each for each in arguments if each.kind in by_position), None)
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    more = [repr(each.name) for each in required if each is not images and each.kind not in several]
    if more:
        raise NotUsable(
            f"models: forward of network {number}, {type(model).__name__}, requires {', '.join(more)} beside "
            "the images; expected a network that takes images alone: give what else it takes a default"
        )


def check_tensor(number: int, name: str, first: Tensor | None, other: Tensor | None) -> None:
    """`NotUsable` unless a tensor of a network is like that of network 0."""
    if first is None or other is None or first.shape != other.shape:
        shapes = [None if each is None else tuple(each.shape) for each in (other, first)]
        raise NotUsable(
            f"models: {name!r} has shape {shapes[0]} in network {number} and {shapes[1]} in network 0; "
            "expected networks of one architecture, with the same widths and classes"
        )
    if other.is_floating_point():
        if not bool(torch.isfinite(other).all()):
            raise NotUsable(f"models: {name!r} of network {number} holds values that are not finite")
    elif other.ndim and not torch.equal(first.cpu(), other.cpu()):
        raise NotUsable(
            f"models: {name!r} holds whole numbers, such as places, and those of network {number} are not "
            "those of network 0; expected the same, as they have no mean"
        )


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network's state, without what else is in it."""
    return {name: each for name, each in model.state_dict().items() if isinstance(each, Tensor)}


def images_of(batch: Any) -> Tensor:
    """The images of a batch: it, its first item, or what it has under a usual name."""
    if isinstance(batch, Mapping):
        tensors = [key for key, value in batch.items() if isinstance(value, Tensor | numpy.ndarray)]
        named = [key for key in IMAGE_KEYS if key in tensors]
        if not named and len(tensors) != 1:
            raise NotUsable(
                f"images: batches have {sorted(map(str, batch))}; expected one of {', '.join(IMAGE_KEYS)}"
            )
        batch = batch[named[0] if named else tensors[0]]
    elif isinstance(batch, list | tuple) and batch:
        return images_of(batch[0])
    if isinstance(batch, numpy.ndarray):
        batch = torch.from_numpy(numpy.ascontiguousarray(batch))
    if not isinstance(batch, Tensor):
        raise NotUsable(f"images: a batch of type {type(batch).__name__}; expected a tensor or an array")
    if batch.dtype == torch.uint8:
        raise NotUsable(
            "images: bytes (uint8); expected numbers normalized as in training, such as `images / 255`"
        )
    if batch.is_floating_point() and not bool(torch.isfinite(batch).all()):
        raise NotUsable("images: hold values that are not finite")
    return batch


def batches_of(images: Any, batch_size: int, device: torch.device, dtype: torch.dtype | None = None) -> Pass:
    """Passes over images that are one tensor or come in batches.

    Batches without images are left out, and so are those of a single image, which have no statistics, unless
    there are no others.
    """
    if isinstance(images, numpy.ndarray):
        images = torch.from_numpy(numpy.ascontiguousarray(images))
    if isinstance(images, Tensor):
        batches: Iterable[Any] = images.split(batch_size) if images.ndim and len(images) else []
    elif isinstance(images, Iterator):
        raise NotUsable("images: can be gone through only once; expected a tensor, a list or a DataLoader")
    elif not isinstance(images, Iterable):
        raise NotUsable(f"images: of type {type(images).__name__}; expected a tensor, a list or a DataLoader")
    else:
        batches = images

    def start() -> Iterator[Tensor]:
        single: Tensor | None = None
        found = False
        for batch in batches:
            pixels = images_of(batch)
            pixels = pixels.to(device, dtype if pixels.is_floating_point() else None, non_blocking=True)
            if len(pixels) > 1:
                found = True
                yield pixels
            elif len(pixels) == 1:
                single = pixels
        if single is not None and not found:
            yield single

    return start


def type_for(model: nn.Module, images: Tensor) -> torch.dtype | None:
    """The type of numbers in which a network takes ``images``: None, as they are, or that of its weights."""
    own = next((each.dtype for each in model.parameters() if each.is_floating_point()), None)
    with evaluated(model), torch.no_grad(), explained("a first batch"):
        if own in (None, images.dtype) or not images.is_floating_point():
            model(images)
            return None
        with suppress(RuntimeError):
            model(images)
            return None
        model(images.to(own))
    return own


def in_full(models: Sequence[nn.Module]) -> list[nn.Module]:
    """Networks in float32 at least: copies of those with numbers of fewer bits, whose sums are rounded."""
    few = {torch.float16, torch.bfloat16}
    return [
        copy.deepcopy(model).float() if few & {each.dtype for each in tensors_of(model).values()} else model
        for model in models
    ]


def on_device(models: Sequence[nn.Module], device: torch.device) -> list[nn.Module]:
    """Networks on one device; copies of those that are elsewhere."""
    return [
        model
        if all(each.device == device for each in tensors_of(model).values())
        else copy.deepcopy(model).to(device)
        for model in models
    ]


def in_types_of(model: nn.Module, like: nn.Module) -> nn.Module:
    """A network with its numbers in the types of another's, in place."""
    types = {name: each.dtype for name, each in (*like.named_parameters(), *like.named_buffers())}
    for name, each in (*model.named_parameters(), *model.named_buffers()):
        each.data = each.data.to(types[name])
    return model
