"""The paper over all studies as a PDF: a typst template filled with what was gathered."""

import json
from importlib.resources import files as package_files

import typst

from paper.report.content import content_of, files_of
from paper.report.gathering import Gathered


def sources(gathered: Gathered) -> dict[str, bytes]:
    """Everything that typst reads, by name."""
    package = package_files("paper")
    return {
        "main.typ": (package / "report" / "report.typ").read_bytes(),
        "common.typ": (package / "common.typ").read_bytes(),
        "reference.csv": (package / "reference.csv").read_bytes(),
        "content.json": json.dumps(content_of(gathered)).encode(),
        **files_of(gathered),
    }


def typeset(gathered: Gathered) -> bytes:
    """The PDF; the same records give the same bytes."""
    return typst.compile(sources(gathered))  # pyright: ignore[reportArgumentType]  # its stub knows no files by name
