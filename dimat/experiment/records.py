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
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dimat.errors import InputError
from dimat.io import files

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number: when, of whom (`None`: all agents), of which layer (empty: the network), what.

    ``part`` is the agent on whose part of the test set it was measured (`None`: on all of it).
    """

    round: int
    stage: str
    agent: int | None
    layer: str
    metric: str
    value: float
    part: int | None = None


COLUMNS_WITH_PARTS = ("run", *(field.name for field in fields(Measurement)))
"""Columns of records that have numbers of parts of the test set: the agent whose part it is, or nothing."""
COLUMNS = COLUMNS_WITH_PARTS[:-1]
"""Columns of all other records."""
LATER = ("drift",)
"""Metrics that runs of an earlier version lack."""


def records_csv(run: str, measurements: Iterable[Measurement]) -> bytes:
    """A run's measurements as CSV; numbers keep all their digits.

    There is a column of parts only where something was measured on them.
    """
    found = [astuple(each) for each in measurements]
    columns = COLUMNS if all(part is None for *_, part in found) else COLUMNS_WITH_PARTS
    rows = ([run, *("" if value is None else value for value in each)][: len(columns)] for each in found)
    return csv_of([columns, *rows])


def csv_of(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as CSV with plain line ends."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def first_difference(stored: bytes, again: bytes) -> str | None:
    """The first number in which two records of a run differ, in words; `None` if they are the same.

    Records that were stored before one of `LATER` was recorded need not have it.
    """
    rows = [list(csv.DictReader(io.StringIO(content.decode()))) for content in (stored, again)]
    added = set(LATER) - {row["metric"] for row in rows[0]}
    rows[1], whole = [row for row in rows[1] if row["metric"] not in added], len(rows[1])
    for old, new in itertools.zip_longest(*rows, fillvalue={}):
        if old != new:
            row = old or new
            keys = ("round", "stage", "agent", "layer", "part")
            where = ", ".join(f"{key} {row[key]}" for key in keys if row.get(key))
            return (
                f"{where}, {row['metric']}: {old.get('value', 'nothing')} is recorded, "
                f"{new.get('value', 'nothing')} comes out"
            )
    return None if stored == again or len(rows[1]) < whole else "the columns differ"


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
    """The measurements of a study: run, round, stage, agent (none: all agents), layer, metric, value, part.

    The part is the agent on whose part of the test set something was measured, mostly none.
    """
    return _records(files.read_checked(path))


def spent(records: "pandas.DataFrame") -> "pandas.DataFrame":
    """What agents have done and sent until right after each merge: a row for each run, round and agent.

    Columns ``gradient_steps``, ``messages_sent``, ``bytes`` of all kinds together, and how long it has
    ``waited`` for nodes of its own, not a number where that is not recorded.
    """
    rows = records[records.stage.isin(["start", "merged"]) & records.agent.notna()]
    metric = rows.metric.where(~rows.metric.str.startswith("bytes_sent_"), "bytes")
    keys = ["run", "round", "agent", "metric"]
    wide = rows.assign(metric=metric).groupby(keys).value.sum().unstack("metric")
    wide = wide.reindex(columns=["gradient_steps", "messages_sent", "bytes", "waited"])
    return wide.fillna({"gradient_steps": 0.0, "messages_sent": 0.0, "bytes": 0.0})


@lru_cache(maxsize=1)
def _records(content: bytes) -> "pandas.DataFrame":
    """Read once, as all figures and tables of a study ask for them; nobody changes what is returned."""
    import pandas

    text = dict.fromkeys(("run", "stage", "layer", "metric"), str)
    types = text | {"round": int, "agent": "Int64", "value": float, "part": "Int64"}
    numbers = {"agent": [""], "part": [""], "value": ["nan"]}  # of what diverged
    found = pandas.read_csv(io.BytesIO(content), dtype=types, keep_default_na=False, na_values=numbers)
    if "part" not in found:
        found["part"] = pandas.array([None] * len(found), dtype="Int64")
    return found


def flattened(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mappings as one, keys joined by dots; text as it is, `None` left out, all else as JSON."""
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        elif value is not None:
            flat[prefix + key] = value if isinstance(value, str) else json.dumps(value)
    return flat
