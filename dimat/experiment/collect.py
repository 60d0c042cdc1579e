"""The runs of a study joined: one file of runs, one of records, and a summary of what made them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.records import COLUMNS, COLUMNS_WITH_PARTS, csv_of, flattened
from dimat.experiment.runs import Run
from dimat.experiment.sources import read_made
from dimat.io.files import read_checked, write_checked, write_json

FACTS = ("found.data", "found.learning_rate")
"""Columns of runs that are no parameters: what was read, and the learning rate, chosen or given.

So are those of the primary metric, with the number of examples of the test set."""


@dataclass(frozen=True)
class Collected:
    """Contents of ``runs.csv``, ``records.csv`` and ``provenance.json``."""

    runs: bytes
    records: bytes
    provenance: dict[str, Any]


def collect(study: Study, layout: Layout) -> None:
    """Write what `collected` gives, each file with the checksums of what it was made from."""
    found = collected(study, layout)
    made = [layout.run_provenance(id) for id in study.runs]
    write_checked(layout.runs, found.runs, made)
    write_checked(layout.records, found.records, [layout.run(id) for id in study.runs])
    write_json(layout.provenance, found.provenance)


def collected(study: Study, layout: Layout) -> Collected:
    """Join all runs; `InputError` names a file that is not its run's, or made from other files."""
    parts = any("parts" in run.measures for run in study.runs.values())
    made, records = [], [",".join(COLUMNS_WITH_PARTS if parts else COLUMNS)]
    for run in study.runs.values():
        made.append(read_made(run, layout))
        rows = _rows(run, layout, made[-1])
        records += rows if "parts" in run.measures or not parts else [f"{row}," for row in rows]
    return Collected(
        runs=_runs([row_of(each) for each in made]),
        records=("\n".join(records) + "\n").encode(),
        provenance=_provenance(made, layout),
    )


def _rows(run: Run, layout: Layout, made: Mapping[str, Any]) -> list[str]:
    path = layout.run(run.id)
    content = read_checked(path)
    if hashlib.sha256(content).hexdigest() != made.get("records"):
        raise InputError(f"{path}: other records than its run.json names; delete both and run again")
    header, *rows = content.decode().splitlines()
    columns = COLUMNS_WITH_PARTS if "parts" in run.measures else COLUMNS
    if header != ",".join(columns) or not all(row.startswith(f"{run.id},") for row in rows):
        raise InputError(f"{path}: not the records of this run; delete it and run again")
    return rows


def _runs(rows: Sequence[Mapping[str, str]]) -> bytes:
    """One row for each run: its id, every parameter, and `FACTS`."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = ["run", *sorted(name for name in names if name != "run" and not _fact(name))]
    columns += [name for name in names if _fact(name)]
    return csv_of([columns, *([row.get(name, "") for name in columns] for row in rows)])


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


def _provenance(runs: Sequence[Mapping[str, Any]], layout: Layout) -> dict[str, Any]:
    """What made the records of several runs: the distinct answers, and the totals."""

    def distinct(values: list[Any]) -> list[Any]:
        return [json.loads(text) for text in sorted({json.dumps(value, sort_keys=True) for value in values})]

    machines = [machine for run in runs for machine in run["made_on"]]
    return {
        "runs": len(runs),
        "seconds": sum(run["seconds"] for run in runs),
        "peak_memory_bytes": max(run["peak_memory_bytes"] for run in runs),
        "resumed": sum(run["resumed"] for run in runs),
        "by_run": {run["run"]: {"seconds": run["seconds"], "records": run["records"]} for run in runs},
        "data": distinct([run["data"] for run in runs]),
        "devices": distinct([machine["device"] for machine in machines]),
        "threads": distinct([machine["threads"] for machine in machines]),
        "versions": distinct([machine["versions"] for machine in machines]),
    }
