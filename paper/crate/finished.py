"""Whether a study is finished, and when it was carried out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dimat.errors import InputError
from dimat.experiment.collect import collected
from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.sources import read_made
from dimat.io.files import read_checked, read_json


@dataclass(frozen=True)
class Times:
    """When the first run began and the last one ended."""

    began: datetime
    ended: datetime
    recorded: bool
    """Whether runs say so themselves; otherwise they are those of files."""


def finished(study: Study, layout: Layout) -> list[dict[str, Any]]:
    """What made each run; `InputError` unless all are there, and the joined files are those of them."""
    made = [read_made(run, layout) for run in study.runs.values()]
    joined = collected(study, layout)
    provenance = json.loads(json.dumps(joined.provenance))
    there = {
        layout.runs: read_checked(layout.runs) == joined.runs,
        layout.records: read_checked(layout.records) == joined.records,
        layout.provenance: read_json(layout.provenance) == provenance,
    }
    for path, same in there.items():
        if not same:
            raise InputError(f"{path}: joining the runs again gives another one; make it with dimat collect")
    return made


def times_of(study: Study, layout: Layout, made: Sequence[Mapping[str, Any]]) -> Times:
    """When runs were carried out, in whole seconds of UTC; older ones do not say it, but their files do."""
    began, ended = [], []
    for id, each in zip(study.runs, made, strict=True):
        if "ended" in each:
            began.append(datetime.fromisoformat(each["began"]))
            ended.append(datetime.fromisoformat(each["ended"]))
        else:
            written = datetime.fromtimestamp(int(layout.run_provenance(id).stat().st_mtime), UTC)
            began.append(written - timedelta(seconds=int(each["seconds"])))
            ended.append(written)
    return Times(min(began), max(ended), all("ended" in each for each in made))
