"""Tidy records: one row is one measured number."""

import csv
import io
import itertools
import json
import statistics
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from dimat.errors import InputError
from dimat.experiment.config import Run
from dimat.io import files


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number: when, of whom (`None`: the whole fleet), of which layer (empty: the network), what."""

    round: int
    stage: str
    agent: int | None
    layer: str
    metric: str
    value: float


IDENTITY = (
    "run",
    "data",
    "model",
    "partition",
    "graph",
    "agents",
    "method",
    "matching",
    "merge",
    "protocol",
    "seed",
)
"""Columns that say which run a row belongs to; empty where the method ignores the axis."""

COLUMNS = IDENTITY + tuple(field.name for field in fields(Measurement))


def identity(run: Run, data: str) -> dict[str, str]:
    """The identity columns of a run on the data set described by ``data``."""
    return {
        "run": run.id,
        "data": data,
        "model": run.model.label(),
        "partition": run.partition.label() if run.partition else "",
        "graph": run.graph.label() if run.graph else "",
        "agents": str(run.agents),
        "method": run.method.legend(),
        "matching": run.merge.matching_label() if run.merge else "",
        "merge": run.merge.label() if run.merge else "",
        "protocol": run.protocol,
        "seed": str(run.seed),
    }


def write_records(path: Path, run: Run, data: str, measurements: Iterable[Measurement]) -> None:
    """Write a run's measurements as CSV."""
    files.write_checked(path, as_csv(run, data, measurements))


def as_csv(run: Run, data: str, measurements: Iterable[Measurement]) -> bytes:
    """A run's measurements as CSV; numbers keep all their digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    who = tuple(identity(run, data).values())
    for measurement in measurements:
        writer.writerow(who + tuple("" if value is None else value for value in astuple(measurement)))
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


def final_accuracy(path: Path, round: int) -> float:
    """Mean test accuracy over agents after the merge of a run's last ``round``."""
    rows = csv.DictReader(io.StringIO(files.read_checked(path).decode()))
    last = {"round": str(round), "stage": "merged", "metric": "test_accuracy"}
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
            "by_run": {run["run"]: {key: run[key] for key in ("seconds", "learning_rate")} for run in runs},
            "data": distinct("data"),
            "devices": distinct("device"),
            "threads": distinct("threads"),
            "versions": distinct("versions"),
        },
    )
