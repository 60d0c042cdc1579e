"""The files of a folder. Links are followed, but not in circles; only ordinary files are ever opened."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dimat.data.image_tree import ImageTree, left_out, one_line
from dimat.data.tally import Tally
from dimat.errors import InputError
from dimat.io.names import printable

LARGEST_FILE = 64 * 2**20
"""Bytes; a larger file is refused."""
CHECKSUMS = "SHA256SUMS"
"""Where a folder holds a file of this name, as sha256sum writes it, its files are checked against it."""


def open_folder(path: Path) -> ImageTree:
    """The files below ``path``."""
    skipped = Tally()
    names = [name for name in walk(path, "", (), skipped) if name != CHECKSUMS]
    if not (path / CHECKSUMS).is_file():
        return ImageTree(path, tuple(names), lambda name, limit: _read(path / name, limit), skipped)
    expected = _listed(path / CHECKSUMS)
    files = {name for name in names if not name.endswith("/")}
    looked_at = {name for name in expected if not any(map(left_out, name.split("/")))}
    for name in sorted(files ^ looked_at):
        raise InputError(
            f"{path}: {CHECKSUMS} and the folder differ in {name!a}; expected a list of all files, all "
            "of them there"
        )

    def checked(name: str, limit: int | None) -> bytes:
        content = _read(path / name, None)
        if hashlib.sha256(content).hexdigest() != expected[name]:
            raise ValueError(f"its checksum is not that in {CHECKSUMS}")
        return content[:limit]

    return ImageTree(path, tuple(names), checked, skipped)


def walk(root: Path, folder: str, above: tuple[tuple[int, int], ...], skipped: Tally) -> Iterator[str]:
    """Relative names below ``folder``; ``above`` are the device and inode of all folders on the way to it."""
    try:
        status = (root / folder).stat()
        entries = sorted(os.listdir(root / folder))  # noqa: PTH208  # names, not paths
    except OSError as error:
        raise InputError(f"{root}: {printable(folder)} cannot be read ({one_line(error)})") from None
    above = (*above, (status.st_dev, status.st_ino))
    for entry in entries:
        name = folder + entry
        if reason := left_out(entry):
            skipped.add(reason, name)
            continue
        try:
            status = (root / name).stat()
        except FileNotFoundError:  # a link to nothing: whoever needs the file is told
            yield name
            continue
        except OSError as error:  # a link to itself
            skipped.add(f"not to be followed ({error.strerror})", name)
            continue
        if stat.S_ISREG(status.st_mode):
            yield name
        elif not stat.S_ISDIR(status.st_mode):
            skipped.add("pipes, sockets and devices", name)
        elif (status.st_dev, status.st_ino) in above:
            skipped.add("links to a folder that they lie in", name)
        else:
            yield f"{name}/"
            yield from walk(root, f"{name}/", above, skipped)


def _listed(path: Path) -> dict[str, str]:
    """SHA-256 by name, from a file as of sha256sum."""
    try:
        lines = [line.split(maxsplit=1) for line in path.read_text().splitlines()]
        return {name.removeprefix("*").removeprefix("./"): sha256 for sha256, name in lines}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error}); expected lines as of sha256sum") from None


def _read(file: Path, limit: int | None) -> bytes:
    with file.open("rb") as opened:
        content = opened.read(LARGEST_FILE + 1 if limit is None else limit)
    if len(content) > LARGEST_FILE:
        raise ValueError(f"over {LARGEST_FILE >> 20} MiB")
    return content
