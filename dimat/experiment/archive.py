"""Archives of studies: all that figures, tables and verdicts are made from, and no image.

The same studies give the same bytes. Networks are left out, but for starts of runs that are still to be made.
"""

import io
import lzma
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.experiment.layout import RESERVED, Layout
from dimat.experiment.outlines import data_outline, start_outline
from dimat.experiment.sources import read_made
from dimat.io import files
from dimat.io.files import checksum_path
from dimat.io.names import printable

LARGEST = 2 << 30
"""Bytes up to which an archive is unpacked."""
DAMAGED = (tarfile.TarError, lzma.LZMAError, EOFError, OSError)
"""How a damaged archive is noticed."""


@dataclass(frozen=True)
class Held:
    """How many ``runs`` a study has, how many are ``there``, and whether these were ``packed``.

    So many of its ``matched`` starts, those of runs that match neurons, have ``measured`` first merges.
    """

    study: str
    there: int
    runs: int
    packed: bool
    measured: int
    matched: int


def finished(study: Study, layout: Layout) -> bool:
    """Whether all runs of a study are there."""
    return len(runs_there(study, layout)) == len(study.runs)


def runs_there(study: Study, layout: Layout) -> list[str]:
    """The ids of the runs that are done."""
    return [id for id in study.runs if layout.run(id).exists() and layout.run_provenance(id).exists()]


def pack(studies: Iterable[Study], results: Path, unfinished: bool) -> tuple[bytes, list[Held]]:
    """The archive of all finished studies, and what is in it; of ``unfinished`` ones, what is done, too.

    `InputError` if there is nothing to pack, or something is damaged or made from other files.
    """
    contents: dict[str, bytes] = {}
    held = []
    for study in studies:
        layout = Layout(results / study.name)
        there = runs_there(study, layout)
        whole = len(there) == len(study.runs)
        packed = whole or bool(unfinished and there)
        matched = {run.pretrained.id for run in study.runs.values() if run.matching}
        measured = sum(layout.holonomy(id).exists() for id in matched)
        held.append(Held(study.name, len(there), len(study.runs), packed, measured, len(matched)))
        if held[-1].packed:
            found = {**dict(_of_runs(study, layout, there)), **dict(_shared(study, layout, there))}
            contents |= {path.relative_to(results).as_posix(): content for path, content in found.items()}
    if not contents:
        names = ", ".join(f"{each.study} {each.there} of {each.runs} runs" for each in held)
        raise InputError(f"{results}: holds no finished study ({names}); expected one")
    return _tar(contents), held


def _of_runs(study: Study, layout: Layout, there: list[str]) -> Iterator[tuple[Path, bytes]]:
    """What is a study's own: its configuration, the runs that are ``there``, and what was measured beside."""
    yield layout.study, files.as_json(study.resolved())
    for id in there:
        read_made(study.runs[id], layout)
        yield from _checked(layout.run(id))
        yield _whole(layout.run_provenance(id))
    measured = (layout.audit, layout.at_rest, layout.simulated)
    for path in (*measured, *(layout.holonomy(id) for id in study.pretrained)):
        if path.exists():
            yield from _checked(path)


def _shared(study: Study, layout: Layout, there: list[str]) -> Iterator[tuple[Path, bytes]]:
    """What studies share: partitions, choices with their trials, and outlines of data and starts.

    Of an unfinished study, what there is of it; and the starts of runs that are still to be made.
    """
    missing = [run for id, run in study.runs.items() if id not in there]
    for id in study.partitioned:
        if not missing or layout.partitioned(id).exists():
            yield _whole(layout.partitioned(id))
    for id, tuned in study.tuned.items():
        if not missing or layout.tuned(id).exists():
            yield _whole(layout.tuned(id))
        for trial in tuned.trials().values():
            if layout.run(trial.id).exists():  # none if it diverged
                yield from _checked(layout.run(trial.id))
                yield _whole(layout.run_provenance(trial.id))
    for id in study.prepared:
        if not missing or layout.prepared(id).exists():
            yield layout.data_outline(id), files.as_json(data_outline(layout, id))
    waited_for = {run.pretrained.id for run in missing}
    for id in study.pretrained:
        if not missing or layout.pretrained(id).exists():
            yield layout.start_outline(id), files.as_json(start_outline(layout, id))
        if id in waited_for and layout.pretrained(id).exists():
            yield layout.pretrained(id), files.read_bytes(layout.pretrained(id))


def _checked(path: Path) -> Iterator[tuple[Path, bytes]]:
    yield path, files.read_checked(path)
    yield checksum_path(path), files.read_bytes(checksum_path(path))


def _whole(path: Path) -> tuple[Path, bytes]:
    files.read_json(path)
    return path, files.read_bytes(path)


def _tar(contents: Mapping[str, bytes]) -> bytes:
    """Files by name: the same bytes for the same contents, as nothing is said of owners and times."""
    packed = io.BytesIO()
    with (
        lzma.open(packed, "wb", preset=9 | lzma.PRESET_EXTREME) as stream,
        tarfile.open(fileobj=stream, mode="w") as archive,
    ):
        for name, content in sorted(contents.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def unpack(path: Path, results: Path) -> tuple[int, int]:
    """Write the files of an archive below ``results``: how many are new, and how many were there.

    `InputError`, before anything is written, if the archive is damaged, if it holds what no archive of
    studies does, or if a file is there and another one.
    """
    contents = _members(path)
    new = {}
    for name, content in contents.items():
        place = results / name
        if not place.exists():
            new[place] = content
        elif not place.is_file() or files.read_bytes(place) != content:
            raise InputError(
                f"{place}: is there, and not that of {path}; expected it to be removed, or another --results"
            )
    files.write_all(new)
    return len(new), len(contents) - len(new)


def _members(path: Path) -> dict[str, bytes]:
    """The files in an archive by name."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected one that dimat archive made")
    found: dict[str, bytes] = {}
    try:
        with lzma.open(path) as packed:
            content = packed.read(LARGEST)
            if packed.read(1):
                raise InputError(f"{path}: holds over {LARGEST:,} bytes; expected at most so many")
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                # No link and no name of another folder: `tarfile.data_filter` is not in every Python 3.11.
                if not member.isreg() or not _names().fullmatch(member.name):
                    raise InputError(
                        f"{path}: {printable(member.name)!r} is no file of a study; expected none"
                    )
                opened = archive.extractfile(member)
                assert opened is not None  # as it is a regular file
                found[member.name] = opened.read()
    except DAMAGED as error:
        raise InputError(f"{path}: damaged or no archive of dimat ({error}); expected another copy") from None
    return found


@cache
def _names() -> re.Pattern[str]:
    """The names of all files that archives hold, as `Layout` has them."""
    layout = Layout(Path("STUDY"))
    checked = [layout.run("ID"), layout.audit, layout.at_rest, layout.simulated, layout.holonomy("ID")]
    plain = [
        layout.study,
        layout.run_provenance("ID"),
        layout.partitioned("ID"),
        layout.tuned("ID"),
        layout.data_outline("ID"),
        layout.start_outline("ID"),
        layout.pretrained("ID"),
    ]
    names = [path.as_posix() for path in (*checked, *map(checksum_path, checked), *plain)]
    study = rf"(?!(?:{'|'.join(RESERVED)})/)[a-z0-9][a-z0-9_-]{{0,40}}"
    parts = {"STUDY": study, "ID": "[a-z0-9][a-z0-9_.-]*"}
    pattern = "|".join(map(re.escape, names))
    for word, allowed in parts.items():
        pattern = pattern.replace(word, allowed)
    return re.compile(pattern)
