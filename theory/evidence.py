"""What a study's own records and networks say of the claims."""

import io
from pathlib import Path

import pandas

from dimat.config import Study
from dimat.errors import InputError
from dimat.files import read_checked
from dimat.layout import Layout
from dimat.records import COLUMNS as RECORDED
from theory.checks import Row
from theory.communication import communication_rows
from theory.gains import gain_rows
from theory.holonomy import first_merges, measured_gap_rows, read_holonomy
from theory.report import COLUMNS


def evidence(study: Study, layout: Layout) -> list[Row]:
    """Rows about the spectral gap between its networks, accuracy, and bytes; none without such methods."""
    holonomy = read_holonomy(layout.holonomy(id) for id in first_merges(study))
    records = read(layout.records, RECORDED, numbers=("round", "agents", "value"))
    return [
        *measured_gap_rows(holonomy),
        *gain_rows(records),
        *communication_rows(records, holonomy),
    ]


def audit_frame(path: Path) -> pandas.DataFrame:
    """An audit as text, as `theory.report.as_frame` has it; `InputError` if it is damaged."""
    return read(path, COLUMNS)


def read(path: Path, columns: tuple[str, ...], numbers: tuple[str, ...] = ()) -> pandas.DataFrame:
    """A CSV file of text, but for ``numbers``; `InputError` if it is damaged."""
    try:
        table = pandas.read_csv(io.BytesIO(read_checked(path)), dtype=str, keep_default_na=False)
        if tuple(table.columns) != tuple(columns):
            raise ValueError("its columns are others")
        return table.assign(**{name: pandas.to_numeric(table[name]) for name in numbers})
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run again") from None
