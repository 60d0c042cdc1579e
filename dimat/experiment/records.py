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
from dimat.experiment.config import flattened
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
FACTS = ("found.data", "found.learning_rate")
"""Columns of runs that are no parameters: what was read, and the learning rate, chosen or given."""


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


def collect_records(paths: Iterable[Path], output: Path) -> None:
    """Join the records of several runs into one file."""
    lines = [",".join(COLUMNS)]
    for path in paths:
        header, _, rows = files.read_checked(path).decode().partition("\n")
        if header != lines[0]:
            raise InputError(f"{path}: other columns than {lines[0]}; delete it and run again")
        lines += rows.splitlines()
    files.write_checked(output, ("\n".join(lines) + "\n").encode())


def collect_runs(provenance: Iterable[Path], output: Path) -> None:
    """Join what made several runs into one row for each: its id, every parameter, and `FACTS`."""
    rows = [row_of(files.read_json(path)) for path in provenance]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = ["run", *sorted(name for name in names if name != "run" and not _fact(name))]
    columns += [name for name in names if _fact(name)]
    files.write_checked(output, csv_of([columns, *([row.get(name, "") for name in columns] for row in rows)]))


def row_of(made: Mapping[str, Any]) -> dict[str, str]:
    """A run's row from what its ``run.json`` says."""
    return {
        "run": made["run"],
        **flattened(made["experiment"]),
        "found.data": made["data"]["description"],
        "found.learning_rate": json.dumps(made["learning_rate"]),
        **flattened({"metric": made["metric"]}),
    }


def _fact(name: str) -> bool:
    return name.startswith(("found.", "metric."))


def collect_provenance(paths: Iterable[Path], output: Path) -> None:
    """Sum up what made the records of several runs: one file with the distinct answers and the totals."""
    runs = [files.read_json(path) for path in paths]

    def distinct(key: str) -> list:
        return [json.loads(text) for text in sorted({json.dumps(run[key], sort_keys=True) for run in runs})]

    files.write_json(
        output,
        {
            "runs": len(runs),
            "seconds": sum(run["seconds"] for run in runs),
            "peak_memory_bytes": max(run["peak_memory_bytes"] for run in runs),
            "resumed": sum(run["resumed"] for run in runs),
            "by_run": {run["run"]: {"seconds": run["seconds"]} for run in runs},
            "data": distinct("data"),
            "devices": distinct("device"),
            "threads": distinct("threads"),
            "versions": distinct("versions"),
        },
    )


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
