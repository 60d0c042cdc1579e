"""How values become bytes between processes: tensors and JSON, nothing that runs when it is read."""

import json
from collections.abc import Iterator, Mapping
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

    Values are numbers, text, `None`, tensors, and tuples, lists and mappings of such.
    """
    tensors: list[Tensor] = []
    header = json.dumps(_described(value, tensors)).encode()
    head = numpy.frombuffer(len(header).to_bytes(8, "little") + header, dtype=numpy.uint8)
    return torch.cat([torch.from_numpy(head.copy()), *map(_bytes, tensors)])


def _bytes(tensor: Tensor) -> Tensor:
    """The bytes of a tensor in a row; strides of empty and of single values mean nothing, so they are set."""
    return tensor.detach().cpu().contiguous().as_strided((tensor.numel(),), (1,)).view(torch.uint8)


def unpack(message: Tensor) -> Any:
    """The value that was packed into ``message``; tensors are copies on the CPU."""
    content = message.cpu()
    start = 8 + int.from_bytes(bytes(content[:8].tolist()), "little")
    header = json.loads(bytes(content[8:start].numpy()))
    return _restored(header, _Reader(content, start))


class _Reader:
    """Takes tensors, one after the other, from bytes."""

    def __init__(self, content: Tensor, start: int) -> None:
        self.content, self.place = content, start

    def take(self, dtype: str, shape: list[int]) -> Tensor:
        size = TYPES[dtype].itemsize * int(numpy.prod(shape))
        part = self.content[self.place : self.place + size].clone()
        self.place += size
        return part.view(TYPES[dtype]).view(shape)


def _described(value: Any, tensors: list[Tensor]) -> Any:
    """``value`` in JSON terms; what JSON does not have is a list that begins with its kind."""
    match value:
        case Tensor():
            tensors.append(value)
            return ["tensor", str(value.dtype).removeprefix("torch."), list(value.shape)]
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
