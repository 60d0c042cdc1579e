"""The identity of images on the disk: what they are, not what their folder is called."""

import hashlib
import os
from pathlib import Path

from dimat.data.folder_files import walk
from dimat.data.tally import Tally
from dimat.errors import InputError
from dimat.io.files import file_sha256


def content_of(path: Path) -> str:
    """SHA-256 of a file, or over the names and contents of all files below a folder; links are followed.

    What file managers leave beside images does not count: it changes when somebody looks at them.
    """
    if path.exists() and not path.is_dir() and not path.is_file():
        return ""  # a pipe or a device, which is refused when it is read, and would be read for ever here
    try:
        return _content_of_folder(path) if path.is_dir() else file_sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def _content_of_folder(root: Path) -> str:
    digest = hashlib.sha256()
    for name in walk(root, "", (), Tally()):
        if (file := root / name).is_file():
            digest.update(os.fsencode(name) + b"\0" + file_sha256(file).encode() + b"\n")
    return digest.hexdigest()
