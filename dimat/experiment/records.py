"""Tidy records: ``runs.csv`` has a row for each run with all of its parameters, ``records.csv`` each number.

Nothing in them is made for people: labels are made where figures and tables are drawn (see `cells`).
"""

import csv
import io
import itertools
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dimat.errors import InputError
from dimat.io import files

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number: when, of whom (`None`: all agents), of which layer (empty: the network), what."""

    round: int
    stage: str
    agent: int | None
    layer: str
    metric: str
    value: float


COLUMNS = ("run", *(field.name for field in fields(Measurement)))
"""Columns of records."""


def records_csv(run: str, measurements: Iterable[Measurement]) -> bytes:
    """A run's measurements as CSV; numbers keep all their digits."""
    rows = ([run, *("" if part is None else part for part in astuple(each))] for each in measurements)
    return csv_of([COLUMNS, *rows])


def csv_of(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as CSV with plain line ends."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def first_difference(stored: bytes, again: bytes) -> str | None:
    """The first number in which two records of a run differ, in words; `None` if they are the same."""
    rows = [list(csv.DictReader(io.StringIO(content.decode()))) for content in (stored, again)]
    for old, new in itertools.zip_longest(*rows, fillvalue={}):
        if old != new:
            row = old or new
            where = ", ".join(f"{key} {row[key]}" for key in ("round", "stage", "agent", "layer") if row[key])
            return (
                f"{where}, {row['metric']}: {old.get('value', 'nothing')} is recorded, "
                f"{new.get('value', 'nothing')} comes out"
            )
    return None if stored == again else "the columns differ"


def final_value(path: Path, round: int, metric: str) -> float:
    """Mean of a ``metric`` over agents after the merge of a run's last ``round``."""
    rows = csv.DictReader(io.StringIO(files.read_checked(path).decode()))
    last = {"round": str(round), "stage": "merged", "metric": metric}
    try:
        return statistics.mean(float(row["value"]) for row in rows if row | last == row)
    except (statistics.StatisticsError, KeyError, ValueError):
        raise InputError(f"{path}: damaged records; delete it and run again") from None


def read_runs(path: Path) -> "pandas.DataFrame":
    """The runs of a study by id: every parameter as text, empty where it is not one of the run's."""
    import pandas  # here, as jobs that train do not need it

    content = io.BytesIO(files.read_checked(path))
    return pandas.read_csv(content, dtype=str, keep_default_na=False).set_index("run")


def read_records(path: Path) -> "pandas.DataFrame":
    """The measurements of a study: run, round, stage, agent (none: all agents), layer, metric, value."""
    import pandas

    content = io.BytesIO(files.read_checked(path))
    text = dict.fromkeys(("run", "stage", "layer", "metric"), str)
    types = text | {"round": int, "agent": "Int64", "value": float}
    return pandas.read_csv(content, dtype=types, keep_default_na=False, na_values={"agent": [""]})


def flattened(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mappings as one, keys joined by dots; text as it is, `None` left out, all else as JSON."""
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        elif value is not None:
            flat[prefix + key] = value if isinstance(value, str) else json.dumps(value)
    return flat
