"""The identity of images on the disk: what they are, not what their folder is called."""

import hashlib
import os
import stat
from pathlib import Path

from dimat.errors import InputError
from dimat.io.files import file_sha256

UNSEEN = ("__MACOSX", "Thumbs.db", "desktop.ini")
"""What file managers leave in folders, besides hidden files; it changes when somebody looks at them."""


def content_of(path: Path) -> str:
    """SHA-256 of a file, or over the names and contents of all files below a folder; links are followed."""
    try:
        return file_sha256(path) if path.is_file() else _content_of_folder(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None


def _content_of_folder(root: Path) -> str:
    digest = hashlib.sha256()
    inside: set[Path] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = Path(folder).resolve()
        if real in inside:  # a circle of links
            folders.clear()
            continue
        inside.add(real)
        folders[:] = sorted(name for name in folders if _seen(name))
        for name in sorted(filter(_seen, files)):
            file = Path(folder) / name
            if file.exists() and stat.S_ISREG(
                file.stat().st_mode
            ):  # pipes and devices would be read for ever
                relative = os.fsencode(file.relative_to(root))
                digest.update(relative + b"\0" + file_sha256(file).encode() + b"\n")
    return digest.hexdigest()


def _seen(name: str) -> bool:
    return not name.startswith(".") and name not in UNSEEN
