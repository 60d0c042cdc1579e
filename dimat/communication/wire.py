"""How values become bytes between processes: tensors and JSON, nothing that runs when it is read."""

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy
import torch
from torch import Tensor

TYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.bool,
)}  # fmt: skip


def pack(value: Any) -> Tensor:
    """``value`` as one tensor of bytes: the length of a JSON header, the header, all tensors.

    Values are numbers, text, `None`, tensors, and tuples, lists and mappings of such. The bytes lie on the
    CPU; of what lies on a device they are put together there, and copied once.
    """
    tensors: list[Tensor] = []
    header = json.dumps(_described(value, tensors)).encode()
    head = numpy.frombuffer(len(header).to_bytes(8, "little") + header, dtype=numpy.uint8)
    runs = [torch.cat(list(map(_bytes, run))).cpu() for _, run in groupby(tensors, lambda each: each.device)]
    return torch.cat([torch.from_numpy(head.copy()), *runs])


def _bytes(tensor: Tensor) -> Tensor:
    """The bytes of a tensor in a row; strides of empty and of single values mean nothing, so they are set."""
    return tensor.detach().contiguous().as_strided((tensor.numel(),), (1,)).view(torch.uint8)


def unpack(message: Tensor, device: torch.device | None = None) -> Any:
    """The value that was packed into ``message``; tensors are copies.

    What lay on a device where it was packed lies on this ``device``, that of the receiver, which may be
    another; what lay on the CPU lies there, and without a device so does everything.
    """
    content = message.cpu()
    start = 8 + int.from_bytes(bytes(content[:8].tolist()), "little")
    header = json.loads(bytes(content[8:start].numpy()))
    there = content if device is None else content.to(device, non_blocking=True)
    return _restored(header, _Reader(content, there, start))


class _Reader:
    """Takes tensors, one after the other, from bytes ``here`` on the CPU and ``there`` on a device."""

    def __init__(self, here: Tensor, there: Tensor, start: int) -> None:
        self.here, self.there, self.place = here, there, start

    def take(self, dtype: str, shape: list[int], on_device: bool) -> Tensor:
        size = TYPES[dtype].itemsize * int(numpy.prod(shape))
        part = (self.there if on_device else self.here)[self.place : self.place + size].clone()
        self.place += size
        return part.view(TYPES[dtype]).view(shape)


def _described(value: Any, tensors: list[Tensor]) -> Any:
    """``value`` in JSON terms; what JSON does not have is a list that begins with its kind."""
    match value:
        case Tensor():
            tensors.append(value)
            dtype, on_device = str(value.dtype).removeprefix("torch."), value.device.type != "cpu"
            return ["tensor", dtype, list(value.shape), on_device]
        case None | bool() | int() | float() | str():
            return value
        case numpy.generic():
            return value.item()
        case Mapping():
            return ["mapping", *_items(value, tensors)]
        case tuple() | list():
            kind = "tuple" if isinstance(value, tuple) else "list"
            return [kind, *(_described(item, tensors) for item in value)]
    raise TypeError(
        f"{type(value).__name__} cannot be sent; expected tensors, numbers, text or groups of them"
    )


def _items(mapping: Mapping[Any, Any], tensors: list[Tensor]) -> Iterator[list[Any]]:
    for key, item in mapping.items():
        yield [_described(key, tensors), _described(item, tensors)]


def _restored(header: Any, reader: _Reader) -> Any:
    if not isinstance(header, list):
        return header
    kind, *rest = header
    if kind == "tensor":
        return reader.take(*rest)
    if kind == "mapping":
        return {_restored(key, reader): _restored(item, reader) for key, item in rest}
    items = [_restored(item, reader) for item in rest]
    return tuple(items) if kind == "tuple" else items
