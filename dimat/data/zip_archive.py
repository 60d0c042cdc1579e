"""The files of a zip archive, read without extracting anything."""

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from dimat.data.folder_files import LARGEST_FILE
from dimat.data.image_tree import ImageTree, left_out, one_line
from dimat.data.tally import Tally
from dimat.errors import InputError
from dimat.io.names import printable

LARGEST_RATIO = 100
"""A zip that declares to be so many times its size is refused: images hardly shrink."""
DIRECTORY_ENTRY = b"PK\x01\x02"
"""What an entry in the directory of a zip begins with."""
NAME_IS_UTF8 = 0x800
"""The flag of an entry that says so."""
ENCRYPTED = 0x1


@contextmanager
def open_archive(path: Path) -> Iterator[ImageTree]:
    """The files in the zip at ``path``."""
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a damaged directory of an archive is noticed in many ways
        raise InputError(
            f"{path}: damaged or not a zip archive ({one_line(error)}); expected a folder or a whole zip"
        ) from None
    with archive:
        skipped = Tally()
        members = dict(_looked_at(path, archive, skipped))

        def contents(name: str, limit: int | None) -> bytes:
            member = members[name]
            if limit is None and member.file_size > LARGEST_FILE:
                raise ValueError(f"declares over {LARGEST_FILE >> 20} MiB")
            with archive.open(member) as opened:
                return opened.read() if limit is None else opened.read(limit)

        yield ImageTree(path, tuple(members), contents, skipped)


def _looked_at(path: Path, archive: zipfile.ZipFile, skipped: Tally) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Members by name, without those that are left out.

    `InputError` unless every name is an ordinary one, once, and the same at both places of the archive: a
    damaged name would otherwise be an image that is silently left out.
    """
    seen: set[str] = set()
    for member in archive.infolist():
        name = _name(member)
        shown = printable(name)
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or parts[0].startswith("/") or parts[0][1:] == ":":
            raise InputError(f"{path}: {shown!r} leads out of the archive; expected names below it")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a link" if kind == stat.S_IFLNK else "a pipe, socket or device"
            raise InputError(f"{path}: {shown!r} is {what}; expected the files themselves")
        if DIRECTORY_ENTRY in member.comment + member.extra:  # a damaged length has swallowed the next one
            raise InputError(f"{path}: the entry after {shown!r} in its directory is damaged")
        if member.flag_bits & ENCRYPTED:
            raise InputError(f"{path}: {shown!r} is encrypted; expected a zip without a password")
        try:
            archive.open(member).close()
        except Exception as error:
            raise InputError(f"{path}: {shown!r} cannot be read ({one_line(error)})") from None
        if name in seen and not name.endswith("/"):
            raise InputError(f"{path}: holds two files of one name, {shown!r}; expected every name once")
        seen.add(name)
        reason = next(filter(None, map(left_out, parts)), None)
        if reason is None:
            yield name, member
        elif not name.endswith("/"):
            skipped.add(reason, name)
    declared = sum(member.file_size for member in archive.infolist())
    if declared > LARGEST_RATIO * path.stat().st_size:
        raise InputError(
            f"{path}: declares {declared >> 20} MiB in {path.stat().st_size >> 10} KiB; expected up to "
            f"{LARGEST_RATIO} times its size"
        )


def _name(member: zipfile.ZipInfo) -> str:
    """The name of a member, with slashes between folders and one after a folder.

    Some Windows programs write backslashes, and macOS writes UTF-8 without saying so.
    """
    name = member.filename
    if not member.flag_bits & NAME_IS_UTF8:
        with suppress(UnicodeError):  # else it is what the format says it is
            name = name.encode("cp437").decode()
    name = name.replace("\\", "/")
    below = PurePosixPath(name).as_posix()
    return f"{below}/" if name.endswith("/") else below
