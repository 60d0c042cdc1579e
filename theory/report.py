"""The audit as text."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas
from pandas import DataFrame

from dimat.errors import InputError
from dimat.io.files import read_checked
from theory.rows import Row

COLUMNS = (
    *("check", "statement", "problem", "graph", "agents", "step_size", "steps", "seeds", "quantity"),
    *("measured", "low", "high", "bound", "verdict"),
)


EVIDENCE = (
    *COLUMNS,
    *("comparison", "p", "p_holm", "low_with_test_error", "high_with_test_error", "with_test_error"),
)
"""Those of what a study says; the last six of paired differences alone (see `theory.claims.paired`)."""


def as_frame(rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> DataFrame:
    """One line for each check and control, as text."""
    found = [[_text(getattr(row, name, None)) for name in columns] for row in rows]
    return DataFrame(found, columns=list(columns))


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def audit_csv(rows: list[Row]) -> str:
    """All columns, comma-separated."""
    return table_csv(as_frame(rows))


def table_csv(table: DataFrame) -> str:
    """Any table, comma-separated; numbers keep all their digits."""
    return table.to_csv(index=False, lineterminator="\n")


def read_audit(path: Path) -> DataFrame:
    """An audit as text, as `as_frame` has it; errors as in `read_table`."""
    return read_table(path, COLUMNS)


def read_table(path: Path, columns: Sequence[str], numbers: Sequence[str] = ()) -> DataFrame:
    """A table with ``columns`` of text, but for ``numbers``; `InputError` if it is missing or damaged."""
    try:
        table = pandas.read_csv(io.BytesIO(read_checked(path)), dtype=str, keep_default_na=False)
        if list(table.columns) != list(columns):
            raise ValueError("its columns are others")
        return table.assign(**{name: pandas.to_numeric(table[name]) for name in numbers})
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); delete it and run again") from None


def as_table(rows: list[Row]) -> str:
    """All checks to read in a terminal; what was corrupted is said of controls only."""
    frame = as_frame(rows).drop(columns="quantity")
    frame["statement"] = [row.statement if row.control else "" for row in rows]
    return frame.to_string(index=False)


def summary(rows: list[Row]) -> Iterator[str]:
    """One line for each check: how many rows, how many violated, how tight; and one for the controls."""
    claimed = [row for row in rows if not row.control]
    for check in dict.fromkeys(row.check for row in claimed):
        kind = [row for row in claimed if row.check == check]
        violated = sum(row.violated for row in kind)
        equal, undecided = (sum(row.verdict == each for row in kind) for each in ("equal", "undecided"))
        also = f", {equal} equal" if equal else ""
        # Exact rows are equalities, some of them with 0: their ratios say nothing but round-off.
        ratios = [row.tightness for row in kind if row.seeds]
        tightness = f"; bound / measured {min(ratios):.3g} to {max(ratios):.3g}" if ratios else ""
        yield f"{check}: {len(kind)} rows, {violated} violated, {undecided} undecided{also}{tightness}"
    corrupted = [row for row in rows if row.control]
    yield f"controls: {len(corrupted)}, {sum(row.violated for row in corrupted)} rejected"
