"""Image files by class, wherever they lie: which files are images, which are left out, and why."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from PIL import Image

from dimat.data.decoding import Unreadable, decode
from dimat.data.tally import Tally
from dimat.errors import InputError
from dimat.io.names import fault_of, printable

IMAGE_ENDINGS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".webp", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
}
OTHER_ENDINGS = {
    *(".heic", ".heif", ".jxl", ".jp2", ".j2k", ".psd", ".svg", ".tga", ".ico", ".exr", ".hdr", ".pcx"),
    *(".dng", ".cr2", ".nef", ".arw", ".eps", ".dds", ".xcf", ".qoi"),
}
"""Of images in formats that are not read: to leave them out would be another data set."""
BEGINNINGS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|II\*\0|MM\0\*|II\+\0|RIFF....WEBP|....ftypavi[fs]|P[1-6]\s+[#\d]|"
    rb"P[Ff]\s+\d|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    re.DOTALL,
)
"""How images begin, for files with an unusual ending or none."""
OTHER_BEGINNINGS = re.compile(
    rb"....ftyp(?:hei|hev|mif|msf)|\xff\x0a|\0\0\0\x0cJXL |\0\0\0\x0cjP  |8BPS", re.DOTALL
)
ARCHIVES = re.compile(rb"PK\x03\x04|\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|.{257}ustar", re.DOTALL)
LOOKED_AT = 264
"""Bytes of a file that are enough to tell what it is."""
OF_SYSTEMS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "Thumbs.db", "desktop.ini"}
"""What systems put beside images; some of it are copies of images."""


@dataclass(frozen=True)
class ImageTree:
    """The files below a folder or in a zip: their relative paths, and how to read one.

    Names of folders end in a slash. ``contents(name, limit)`` gives a file, or its first ``limit`` bytes.
    """

    path: Path
    names: tuple[str, ...]
    contents: Callable[[str, int | None], bytes]
    skipped: Tally = field(default_factory=Tally)
    converted: Tally = field(default_factory=Tally)

    def read(self, name: str, limit: int | None = None) -> bytes:
        """One file, or its first ``limit`` bytes; `InputError` names a damaged or oversized one."""
        try:
            return self.contents(name, limit)
        except Exception as error:  # of an archive, a decompressor or the file system
            raise InputError(
                f"{self.path}: {printable(name)} cannot be read ({one_line(error)}); replace or remove it"
            ) from None

    def image(self, name: str) -> Image.Image:
        """One decoded RGB image; `InputError` names a damaged or oversized one."""
        content = self.read(name)
        try:
            return decode(content, lambda what: self.converted.add(what, name))
        except Unreadable as error:
            reason = f"{error}"
        except Exception as error:  # decoders raise almost anything when a file is damaged
            reason = f"is damaged or no image ({one_line(error)})"
        raise InputError(f"{self.path}: image {printable(name)} {reason}; convert, replace or remove it")

    def by_class(self, split: str) -> dict[str, list[str]]:
        """Image names below ``split``/<class>/, by class; classes without an image included.

        Names of classes are in Unicode's composed form, as systems differ in the form that they write.
        """
        found: dict[str, list[str]] = defaultdict(list)
        written: dict[str, str] = {}
        for name in sorted(self.names):
            parts = PurePosixPath(name).parts
            if len(parts) < 2 or parts[0] != split:
                continue
            if len(parts) == 2 and not name.endswith("/"):
                self.skipped.add(f"in {split}/ but in no class", name)
                continue
            label = self._label(split, parts[1], written)
            if name.endswith("/"):
                found.setdefault(label, [])
            elif self._is_image(name):
                found[label].append(name)
            else:
                found.setdefault(label, [])
        return {label: found[label] for label in sorted(found)}

    def _label(self, split: str, folder: str, written: dict[str, str]) -> str:
        if fault := fault_of(folder):
            raise InputError(f"{self.path}: class folder {split}/{ascii(folder)[1:-1]}/ {fault}; rename it")
        label = unicodedata.normalize("NFC", folder)
        if written.setdefault(label, folder) != folder:
            raise InputError(
                f"{self.path}: class folders {written[label]!a} and {folder!a} in {split}/ are one "
                "name in two forms of Unicode; expected one folder for a class"
            )
        return label

    def _is_image(self, name: str) -> bool:
        """Whether a file is an image; `InputError` for images in formats that are not read."""
        ending = PurePosixPath(name).suffix.lower()
        if ending in IMAGE_ENDINGS:
            return True
        beginning = self.read(name, LOOKED_AT)
        if BEGINNINGS.match(beginning):
            return True
        if ending in OTHER_ENDINGS or OTHER_BEGINNINGS.match(beginning):
            raise InputError(
                f"{self.path}: {printable(name)} is an image in a format that is not read; expected JPEG, "
                "PNG, BMP, GIF, TIFF, WebP, AVIF or PNM: convert or remove it"
            )
        archive = ARCHIVES.match(beginning)
        self.skipped.add("archives, not unpacked" if archive else "no images", name)
        return False

    def outside(self, *splits: str) -> None:
        """Count the files that lie in none of ``splits``."""
        for name in self.names:
            if name.split("/")[0] not in splits and not name.endswith("/"):
                self.skipped.add(f"outside {'/ and '.join(splits)}/", name)

    def top(self) -> str:
        """What lies at the top, in words: the first few names."""
        found = sorted({name.split("/")[0] + "/" * ("/" in name) for name in self.names})
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        return ", ".join(map(printable, found[:5])) + more or "nothing"


def left_out(part: str) -> str | None:
    """Why what has this name is never looked at; `None` for all else."""
    if part in OF_SYSTEMS:
        return "files of an operating system"
    return "hidden, their names begin with a dot" if part.startswith(".") else None


def below_top(tree: ImageTree) -> ImageTree:
    """The part of ``tree`` that holds ``train/``, if that lies in one folder below others."""
    places = set(_above_train(tree.names))
    depth = min((place.count("/") for place in places), default=0)
    nearest = sorted(place for place in places if place.count("/") == depth)
    if len(nearest) > 1:
        raise InputError(
            f"{tree.path}: holds more than one data set ({printable(nearest[0])} and "
            f"{printable(nearest[1])}); expected one train/"
        )
    prefix = nearest[0] if nearest else ""
    inside = tuple(name[len(prefix) :] for name in tree.names if name.startswith(prefix) and name != prefix)
    for name in tree.names:
        if not name.startswith(prefix) and not name.endswith("/"):
            tree.skipped.add(f"beside {printable(prefix)}", name)
    contents = tree.contents
    return replace(tree, names=inside, contents=lambda name, limit: contents(prefix + name, limit))


def _above_train(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        *folders, _ = name.split("/")
        if "train" in folders:
            yield "".join(f"{folder}/" for folder in folders[: folders.index("train")])


def one_line(error: Exception) -> str:
    """What an error of a library says, in one line."""
    return printable(" ".join(str(error).split())) or type(error).__name__
