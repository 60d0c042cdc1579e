"""Files that are either whole or absent, and whose damage is noticed when they are read."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dimat.errors import InputError

AT_ONCE = 16
"""Files that `write_all` writes at a time."""


def write(path: Path, content: bytes, checksum: bytes | None = None) -> None:
    """Write ``content`` to a temporary name, flush it to the disk, rename it to ``path``.

    Its ``checksum``, if it lies in a file of its own, is written just before, and by the same process: of two
    that write the same file, one has written both. What cannot be written (a full disk, no permission) is an
    `InputError`, and leaves nothing behind.
    """
    temporary = _temporary(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(temporary) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if checksum is not None:
                write(checksum_path(path), checksum)
            temporary.replace(path)
    except (OSError, InputError) as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, InputError):  # of the checksum
            raise
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); expected a folder that can be written, "
            "with room left: then run again"
        ) from None


def write_all(contents: Mapping[Path, bytes]) -> None:
    """`write` each; those that wait for the disk do so together, as it flushes many at once as fast as one.

    The `InputError` of one that cannot be written is raised; those not begun by then stay absent.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(write, contents, contents.values()):
            pass


def remove(path: Path) -> None:
    """Remove ``path``, and what an interrupted `write` to it may have left."""
    if path.exists():  # on a disk that cannot be written, even an attempt is an error
        path.unlink(missing_ok=True)
    temporary = _temporary(path)
    if temporary.exists():
        with _alone(temporary):
            temporary.unlink()


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _alone(temporary: Path) -> BinaryIO:
    """``temporary``, empty and open for this process alone: two may be told to write the same file.

    The lock of a process that is killed ends with it.
    """
    while True:
        file = temporary.open("ab")
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), temporary.stat()):
                file.truncate(0)
                return file
        file.close()  # whoever had the lock has renamed the file


def read_bytes(path: Path) -> bytes:
    """Read a file; an absent or unreadable one is an `InputError` that names it."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it with the steps before (see dimat --help)") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None


def write_checked(path: Path, content: bytes, made_from: Iterable[Path] = (), made_by: str = "") -> None:
    """Write a file that has no place for a checksum of its own; the checksum lies beside it.

    ``path``.sha256 has the form of sha256sum, which checks it, too: first the file, then the files that it
    was ``made_from``, relative to its folder. A comment says what it was ``made_by``.
    """
    lines = [f"# {made_by}"] if made_by else []
    lines.append(f"{hashlib.sha256(content).hexdigest()}  {path.name}")
    for source in made_from:
        lines.append(f"{file_sha256(source)}  {Path(os.path.relpath(source, path.parent)).as_posix()}")
    write(path, content, checksum=("\n".join(lines) + "\n").encode())


def read_checked(path: Path) -> bytes:
    """Read what `write_checked` wrote.

    `InputError` if it is absent or damaged, or if a file that it was made from is there and another one now.
    """
    content = read_bytes(path)
    (sha256, named), *sources = links_of(path)
    if (sha256, named.name) != (hashlib.sha256(content).hexdigest(), path.name):
        raise InputError(
            f"{path}: damaged (it differs from {checksum_path(path).name}); delete both and run again"
        )
    for sha256, source in sources:
        if source.is_file() and file_sha256(source) != sha256:
            raise InputError(
                f"{path}: was made from another {source} than there is now; delete it and run again"
            )
    return content


def links_of(path: Path) -> list[tuple[str, Path]]:
    """What the checksum file of ``path`` says: SHA-256 and path of itself, then of what it was made from."""
    sidecar = checksum_path(path)
    if not sidecar.is_file():
        raise InputError(f"{path}: its checksum {sidecar.name} is missing; delete it and run again")
    try:
        lines = read_bytes(sidecar).decode().splitlines()
        found = [line.split("  ", 1) for line in lines if not line.startswith("#")]
        links = [(sha256, Path(os.path.normpath(path.parent / name))) for sha256, name in found]
    except ValueError:  # no text, or a line of another form
        links = []
    if not links:
        raise InputError(f"{sidecar}: damaged; delete it and {path.name} and run again")
    return links


def is_checked(path: Path) -> bool:
    """Whether a file is as `write_checked` wrote it, whatever became of what it was made from."""
    try:
        return links_of(path)[0][0] == file_sha256(path)
    except (InputError, OSError):
        return False


def checksum_path(path: Path) -> Path:
    """Where the checksum of a file lies."""
    return path.with_name(f"{path.name}.sha256")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `as_json` of ``value``."""
    write(path, as_json(value))


def as_json(value: Mapping[str, Any]) -> bytes:
    """``value`` and a checksum over it as indented JSON with sorted keys."""
    content = json.loads(json.dumps(value))  # as it will be read
    content["sha256"] = _json_checksum(content)
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote; an absent, damaged or foreign file is an `InputError`."""
    try:
        content = json.loads(read_bytes(path))
        if not isinstance(content, dict) or "sha256" not in content:
            raise ValueError("it holds no checksum")
        return without_checksum(content)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: damaged or not written by dimat ({error}); delete it and run again"
        ) from None


def without_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """``content`` but for the checksum that it may hold; ValueError if that is not its own."""
    if "sha256" in content and content["sha256"] != _json_checksum(content):
        raise ValueError("its checksum differs")
    return {key: value for key, value in content.items() if key != "sha256"}


def _json_checksum(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def checksum_in(path: Path) -> str:
    """The checksum that a file by `write_json` holds, and that is its own."""
    return _json_checksum(read_json(path))


def write_tensors(path: Path, tensors: dict[str, Tensor], about: Any) -> None:
    """Write named tensors, a JSON description and a checksum over both as one safetensors file."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(about, sort_keys=True)
    # One metadata key: the order of several would differ between runs.
    metadata = json.dumps({"about": text, "sha256": _checksum(contiguous, text)})
    write(path, save(contiguous, metadata={"dimat": metadata}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Read what `write_tensors` wrote; an absent, damaged or foreign file is an `InputError`."""
    with _opened(path) as file:
        metadata = json.loads((file.metadata() or {})["dimat"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = metadata["about"]
        if _checksum(tensors, text) != metadata["sha256"]:
            raise ValueError("its checksum differs")
        return tensors, json.loads(text)


def read_about(path: Path) -> Any:
    """The description in a file by `write_tensors`; its checksum needs the tensors and is not compared."""
    with _opened(path) as file:
        return json.loads(json.loads((file.metadata() or {})["dimat"])["about"])


def shapes_in(path: Path) -> dict[str, list[int]]:
    """The shapes of the tensors in a file by `write_tensors`, by name; the tensors are not read."""
    with _opened(path) as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118


def nbytes_in(path: Path, prefix: str) -> int:
    """How many bytes the tensors have, of a file by `write_tensors`, whose names begin with ``prefix``."""
    with _opened(path) as file:
        return sum(file.get_tensor(name).nbytes for name in file.keys() if name.startswith(prefix))  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A safetensors file; whatever is wrong with it is an `InputError`."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; make it with the steps before (see dimat --help)")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (KeyError, TypeError):
        raise InputError(f"{path}: not written by dimat; delete it and run again") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run again") from None


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the names, types, shapes and values of tensors."""
    return _checksum({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, "")


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
