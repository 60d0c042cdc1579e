"""The tables of studies as a page of Markdown, for people who read in a browser."""

import io
import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.io.files import read_json
from paper.shown import made
from paper.tables import tables_of

if TYPE_CHECKING:
    from pandas import DataFrame

INTRODUCTION = """\
# Results

This page is made from records by `dimat page`; nothing on it is typed. The same command makes it anew from a
study's `results/`. Cells are means over seeds with their standard deviation, or differences with their 95 %
interval. What the columns mean stands above each table.
"""


def page(studies: Iterable[tuple[Study, Layout]], only: Collection[str] = ()) -> str:
    """The whole page, a section for each study, with ``only`` some of their tables if that names any.

    `InputError` for a name that is no study's.
    """
    opened = list(studies)
    known = {name for study, _ in opened for name in tables_of(study)}
    for name in only:
        if name not in known:
            raise InputError(f"--only: no table {name!r}; expected one of {', '.join(sorted(known))}")
    return "\n".join([INTRODUCTION, *(section(study, layout, only) for study, layout in opened)])


def section(study: Study, layout: Layout, only: Collection[str] = ()) -> str:
    """One study: the command that makes it, what it took, and its tables as they were made."""
    provenance = read_json(layout.provenance)
    versions = [", ".join(f"{name} {each[name]}" for name in each) for each in provenance["versions"]]
    parts = [
        f"## {study.name}",
        f"`snakemake --cores all --configfile config/{study.name}.yaml`",
        f"{provenance['runs']} runs, {provenance['seconds'] / 60:.0f} minutes in all on "
        f"{', '.join(provenance['devices'])} ({'; '.join(versions)}).",
    ]
    for name, table in tables_of(study).items():
        if only and name not in only:
            continue
        parts += [f"### {study.name}: {name}", table.caption(), markdown(read_table(layout, name))]
    return "\n\n".join(parts) + "\n"


def read_table(layout: Layout, name: str) -> "DataFrame":
    """A table that `dimat table` made, as text."""
    import pandas

    content = made(layout.table(name, "csv"), f"table --only {name}")
    return pandas.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)


def markdown(rows: "DataFrame") -> str:
    """A table in Markdown; what is the same in each of several rows is said once, before it."""
    same = [name for name in rows if len(rows) > 1 and rows[name].nunique() == 1]
    shared = "; ".join(f"{name}: {without_tags(rows[name].iloc[0])}" for name in same if rows[name].iloc[0])
    shown = rows.drop(columns=same)
    lines = [list(shown), ["---"] * shown.shape[1], *shown.to_numpy().tolist()]
    table = "\n".join(f"| {' | '.join(map(escaped, line))} |" for line in lines)
    return "\n\n".join(filter(None, [shared, table]))


def escaped(cell: str) -> str:
    """Text in a cell, which ends no cell and starts no HTML."""
    return without_tags(cell).replace("|", "&#124;")


def without_tags(text: str) -> str:
    """Text that starts no HTML."""
    return re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", text)
