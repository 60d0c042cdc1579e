"""Files that are either whole or absent."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dimat.errors import InputError


def write(path: Path, content: bytes) -> None:
    """Write ``content`` to a temporary name, flush it to the disk, rename it to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def remove(path: Path) -> None:
    """Remove ``path``, and what an interrupted `write` to it may have left."""
    path.unlink(missing_ok=True)
    _temporary(path).unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys."""
    write(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def read_bytes(path: Path) -> bytes:
    """Read a file; an absent or unreadable one is an `InputError` that names it."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it with the steps before (see dimat --help)") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None


def read_json(path: Path) -> Any:
    """Read JSON; an absent, unreadable or damaged file is an `InputError` that names it."""
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise InputError(f"{path}: damaged or not JSON ({error}); delete it and run again") from None


def write_tensors(path: Path, tensors: dict[str, Tensor], about: Any) -> None:
    """Write named tensors, a JSON description and a checksum over both as one safetensors file."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(about, sort_keys=True)
    # One metadata key: the order of several would differ between runs.
    metadata = json.dumps({"about": text, "sha256": _checksum(contiguous, text)})
    write(path, save(contiguous, metadata={"dimat": metadata}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Read what `write_tensors` wrote; an absent, damaged or foreign file is an `InputError`."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})["dimat"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = metadata["about"]
        if _checksum(tensors, text) != metadata["sha256"]:
            raise ValueError("its checksum differs")
        return tensors, json.loads(text)
    except (KeyError, TypeError):
        raise InputError(f"{path}: not written by dimat; delete it and run again") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run again") from None


def _checksum(tensors: dict[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
