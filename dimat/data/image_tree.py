"""Image files in a folder or a zip archive, read without extracting anything."""

import io
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from dimat.errors import InputError

IMAGE_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
LARGEST_FILE = 64 * 2**20
"""Bytes; a file that declares more is refused before it is read."""


@dataclass(frozen=True)
class ImageTree:
    """The files below a folder or in a zip: their relative paths, and how to read one."""

    path: Path
    names: tuple[str, ...]
    read: Callable[[str], bytes]

    def image(self, name: str) -> Image.Image:
        """One decoded RGB image; `InputError` names a damaged or oversized one."""
        try:
            with Image.open(io.BytesIO(self.read(name))) as image:
                return image.convert("RGB")
        except (
            OSError,
            ValueError,
            SyntaxError,
            Image.DecompressionBombError,
            RuntimeError,  # an encrypted zip
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise InputError(
                f"{self.path}: image {name} is damaged or no image ({error}); replace or remove it"
            ) from None

    def by_class(self, split: str) -> dict[str, list[str]]:
        """Image names below ``split``/<class>/, by class; classes without an image included."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            parts = PurePosixPath(name).parts
            if len(parts) >= 2 and parts[0] == split:
                is_image = len(parts) >= 3 and PurePosixPath(name).suffix.lower() in IMAGE_ENDINGS
                if is_image:
                    found[parts[1]].append(name)
                elif name.endswith("/"):
                    found.setdefault(parts[1], [])
        return {label: sorted(found[label]) for label in sorted(found)}


@contextmanager
def open_tree(path: Path) -> Iterator[ImageTree]:
    """Open a folder or a zip; a single top folder (``name/train``, ``name/test``) is looked through."""
    if path.is_dir():
        names = [
            entry.relative_to(path).as_posix() + ("/" if entry.is_dir() else "") for entry in path.rglob("*")
        ]
        yield _below_top(ImageTree(path, tuple(names), lambda name: _read_file(path / name)))
        return
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: damaged or not a zip archive ({error}); valid is a folder or a whole zip"
        ) from None
    with archive:
        yield _below_top(ImageTree(path, tuple(archive.namelist()), lambda name: _read_member(archive, name)))


def _below_top(tree: ImageTree) -> ImageTree:
    tops = {PurePosixPath(name).parts[0] for name in tree.names if PurePosixPath(name).parts}
    if len(tops) != 1 or "train" in tops:
        return tree
    prefix = f"{tops.pop()}/"
    names = tuple(name[len(prefix) :] for name in tree.names if name != prefix)
    return ImageTree(tree.path, names, lambda name: tree.read(prefix + name))


def _read_file(file: Path) -> bytes:
    if file.stat().st_size > LARGEST_FILE:
        raise ValueError(f"over {LARGEST_FILE >> 20} MiB")
    return file.read_bytes()


def _read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > LARGEST_FILE:
        raise ValueError(f"declares over {LARGEST_FILE >> 20} MiB")
    return archive.read(name)
