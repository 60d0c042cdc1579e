"""One run carried out again, from its configuration and images, beside what is there."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dimat.errors import InputError
from dimat.experiment.kept import KeptData
from dimat.experiment.layout import Layout
from dimat.experiment.records import first_difference
from dimat.experiment.runner import Runner, machines_said
from dimat.experiment.runs import Run
from dimat.experiment.sources import read_made
from dimat.io.files import read_bytes, read_checked, read_json, write


def rerun(runner: Runner, run: Run) -> str:
    """Read, deal out, pre-train and train anew: in words that all numbers come out.

    The learning rate is the one that was chosen. `InputError` names the first number that differs, and which
    of images, partition and start do.
    """
    recorded = read_checked(runner.layout.run(run.id))
    made = read_made(run, runner.layout)
    with _beside(runner, run) as other:
        other.prepare(run.partitioned.prepared)
        other.partition(run.partitioned)
        other.pretrain(run.pretrained)
        other.train(run)
        difference = first_difference(recorded, read_checked(other.layout.run(run.id)))
        again = read_json(other.layout.run_provenance(run.id))
    if difference is None:
        return f"trained again from its images, all {len(recorded.splitlines()) - 1} numbers come out"
    others = [kind for kind, sha256 in again["made_from"].items() if made["made_from"].get(kind) != sha256]
    found = f"; another {' and '.join(others)} already" if others else ""
    raise InputError(f"{difference} (recorded with {machines_said(made)}{found})")


@contextmanager
def _beside(runner: Runner, run: Run) -> Iterator[Runner]:
    """A runner with an empty folder below the results, which is removed in the end."""
    results = runner.layout.results
    with tempfile.TemporaryDirectory(prefix=".again-", dir=results) as folder:
        layout = Layout(Path(folder) / runner.layout.root.name)
        if runner.layout.downloads.exists():
            layout.downloads.symlink_to(runner.layout.downloads.resolve())
        if run.tuned is not None:
            write(layout.tuned(run.tuned.id), read_bytes(runner.layout.tuned(run.tuned.id)))
        yield replace(runner.in_one_program(keep_checkpoints=False), layout=layout, kept=KeptData())
