"""Image files in a folder or a zip archive, read without extracting anything."""

import hashlib
import io
import stat
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from dimat.errors import InputError

IMAGE_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""What files with these endings may hold; other decoders of the library are never started."""
LARGEST_FILE = 64 * 2**20
"""Bytes; a file that declares more is refused before it is read."""
LARGEST_RATIO = 100
"""A zip that declares to be so many times its size is refused: images hardly shrink."""
DIRECTORY_ENTRY = b"PK\x01\x02"
"""What an entry in the directory of a zip begins with."""
CHECKSUMS = "SHA256SUMS"
"""Where a folder holds a file of this name, as sha256sum writes it, its files are checked against it."""


@dataclass(frozen=True)
class ImageTree:
    """The files below a folder or in a zip: their relative paths, and how to read one."""

    path: Path
    names: tuple[str, ...]
    contents: Callable[[str], bytes]

    def read(self, name: str) -> bytes:
        """One file; `InputError` names a damaged or oversized one."""
        try:
            return self.contents(name)
        except Exception as error:  # of an archive, a decompressor or the file system
            raise InputError(f"{self.path}: {name} is damaged ({error}); replace or remove it") from None

    def image(self, name: str) -> Image.Image:
        """One decoded RGB image; `InputError` names a damaged or oversized one."""
        content = io.BytesIO(self.read(name))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(content, formats=FORMATS) as image:
                    return image.convert("RGB")
        except Exception as error:  # decoders raise almost anything when a file is damaged
            raise InputError(
                f"{self.path}: image {name} is damaged or no image ({one_line(error)}); replace or remove it"
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
        yield _below_top(_folder(path))
        return
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a damaged directory of an archive is noticed in many ways
        raise InputError(
            f"{path}: damaged or not a zip archive ({one_line(error)}); expected a folder or a whole zip"
        ) from None
    with archive:
        _check_members(path, archive)
        yield _below_top(ImageTree(path, tuple(archive.namelist()), lambda name: _read_member(archive, name)))


def one_line(error: Exception) -> str:
    """What an error of a library says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _below_top(tree: ImageTree) -> ImageTree:
    tops = {PurePosixPath(name).parts[0] for name in tree.names if PurePosixPath(name).parts}
    if len(tops) != 1 or "train" in tops:
        return tree
    prefix = f"{tops.pop()}/"
    names = tuple(name[len(prefix) :] for name in tree.names if name != prefix)
    return ImageTree(tree.path, names, lambda name: tree.contents(prefix + name))


def _folder(path: Path) -> ImageTree:
    names = [
        entry.relative_to(path).as_posix() + ("/" if entry.is_dir() else "")
        for entry in path.rglob("*")
        if entry != path / CHECKSUMS
    ]
    if not (path / CHECKSUMS).exists():
        return ImageTree(path, tuple(names), lambda name: _read_file(path / name))
    expected = _listed(path / CHECKSUMS)
    files = {name for name in names if not name.endswith("/")}
    for name in sorted(files ^ expected.keys()):
        raise InputError(
            f"{path}: {CHECKSUMS} and the folder differ in {name!r}; expected a list of all files, all "
            "of them there"
        )

    def checked(name: str) -> bytes:
        content = _read_file(path / name)
        if hashlib.sha256(content).hexdigest() != expected[name]:
            raise ValueError(f"its checksum is not that in {CHECKSUMS}")
        return content

    return ImageTree(path, tuple(names), checked)


def _listed(path: Path) -> dict[str, str]:
    """SHA-256 by name, from a file as of sha256sum."""
    try:
        lines = [line.split(maxsplit=1) for line in path.read_text().splitlines()]
        return {name.removeprefix("*").removeprefix("./"): sha256 for sha256, name in lines}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error}); expected lines as of sha256sum") from None


def _read_file(file: Path) -> bytes:
    if file.stat().st_size > LARGEST_FILE:
        raise ValueError(f"over {LARGEST_FILE >> 20} MiB")
    return file.read_bytes()


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """`InputError` unless every name is an ordinary one, once, and the same at both places of the archive.

    A damaged name would otherwise be an image that is silently left out.
    """
    members = archive.infolist()
    for member in members:
        parts = PurePosixPath(member.filename).parts
        if ".." in parts or parts[:1] == ("/",):
            raise InputError(f"{path}: {member.filename!r} leads out of the archive; expected names below it")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(f"{path}: {member.filename!r} is a link; expected the files themselves")
        if DIRECTORY_ENTRY in member.comment + member.extra:  # a damaged length has swallowed the next one
            raise InputError(f"{path}: the entry after {member.filename!r} in its directory is damaged")
        try:
            archive.open(member).close()
        except Exception as error:
            raise InputError(f"{path}: {member.filename!r} is damaged ({one_line(error)})") from None
    if len(set(archive.namelist())) < len(members):
        raise InputError(f"{path}: holds two files of one name; expected every name once")
    declared = sum(member.file_size for member in members)
    if declared > LARGEST_RATIO * path.stat().st_size:
        raise InputError(
            f"{path}: declares {declared >> 20} MiB in {path.stat().st_size >> 10} KiB; expected up to "
            f"{LARGEST_RATIO} times its size"
        )


def _read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > LARGEST_FILE:
        raise ValueError(f"declares over {LARGEST_FILE >> 20} MiB")
    return archive.read(name)
