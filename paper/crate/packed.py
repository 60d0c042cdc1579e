"""The files of a crate as a zip or a folder."""

import io
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from dimat.errors import InputError
from dimat.io.files import write

FIRST_OF_ZIP = (1980, 1, 1, 0, 0, 0)
"""The time of all files in the zip: the earliest that it can say."""


def write_crate(output: Path, make: Callable[[], Mapping[str, bytes]]) -> None:
    """Write the files that ``make`` gives as a zip or, without that ending, as a folder: whole or not at all.

    What is there already is refused before anything is made.
    """
    if os.path.lexists(output):
        raise InputError(f"{output}: already there; expected a new file or folder")
    made = make()
    if output.suffix == ".zip":
        write(output, zipped(made))
        return
    temporary = output.with_name(f".{output.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for path, content in made.items():
            write(temporary / path, content)
        temporary.rename(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of files by path."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, each in sorted(files.items()):
            entry = zipfile.ZipInfo(path, FIRST_OF_ZIP)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, each)
    return content.getvalue()
