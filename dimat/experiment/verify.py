"""`dimat verify`: the chain from images to tables, each link checked against what it says it was made from.

Checksums show damage and mixtures. What can be made again quickly is made again: partitions, choices,
policies, what is said of a run, its last round, the collected files. What remains is said as not proved.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from dimat.data import ImageSet
from dimat.errors import InputError
from dimat.experiment.again import rerun
from dimat.experiment.collect import collected
from dimat.experiment.policies import TrainedPolicy
from dimat.experiment.provenance import code
from dimat.experiment.records import final_value
from dimat.experiment.runner import Runner
from dimat.experiment.runs import Partitioned, Prepared, Pretrained, Run, Tuned
from dimat.experiment.sources import read_made
from dimat.experiment.tuning import best
from dimat.io.files import checksum_path, links_of, read_checked, read_json, read_tensors, tensors_sha256


class Finding(NamedTuple):
    """What was looked at, whether it is right (`None`: that cannot be proved), and what was found."""

    what: str
    right: bool | None
    found: str


NOT_PROVED = (
    "that the images are what their files' names say",
    "that starts and rounds before the last come out again: delete them and train again",
    "times and memory, which are different every time",
    "that figures, tables, audit and verdicts come out again: delete them and make them again",
)
"""What `verify` never proves."""


def verify_study(runner: Runner) -> Iterator[Finding]:
    """Everything that is there of a study, in the order in which it is made."""
    study, layout = runner.study, runner.layout
    if not any(each.root.is_dir() for each in (layout, layout.shared)):
        raise InputError(f"{layout.root}: no such folder; expected the results of the study")
    for prepared in study.prepared.values():
        yield from _checked(layout.prepared(prepared.id), lambda each=prepared: _data(runner, each))
    for partitioned in study.partitioned.values():
        path = layout.partitioned(partitioned.id)
        yield from _checked(path, lambda each=partitioned: _partition(runner, each))
    for start in study.pretrained.values():
        yield from _checked(layout.pretrained(start.id), lambda each=start: _start(runner, each))
    for tuned in study.tuned.values():
        yield from _checked(layout.tuned(tuned.id), lambda each=tuned: _choice(runner, each))
    for run in study.runs.values():
        yield from verify_run(runner, run)
    yield from _collected(runner)
    for policy in study.policies.values():
        yield from _checked(layout.policy(policy.id), lambda each=policy: _policy(runner, each))
    trials = [layout.run(trial.id) for tuned in study.tuned.values() for trial in tuned.trials().values()]
    used = (path for path in (*trials, layout.audit, layout.audit_full) if path.exists())
    chained = {*used, *(path.with_suffix("") for path in layout.root.rglob("*.sha256"))}
    for path in sorted(chained - {layout.runs, layout.records}):
        yield from _checked(path, lambda each=path: _link(each))


def verify_run(runner: Runner, run: Run) -> Iterator[Finding]:
    """One run: what it was made from, what is said of it, and its last round."""
    path = runner.layout.run(run.id)
    yield from _checked(runner.layout.run_provenance(run.id), lambda: _described(runner, run))
    if not path.exists():
        return
    last = run.training.rounds
    if last > 1 and not runner.layout.last_round(run.id).exists():
        yield Finding(
            str(path),
            None,
            f"round {last} is not carried out again, as its checkpoint was not kept; set keep_checkpoints: "
            "true, delete the run and train again",
        )
        return
    yield from _checked(path, lambda: _last_round(runner, run))


def verify_again(runner: Runner, run: Run) -> Iterator[Finding]:
    """One run: what was said of it, and all of it carried out again."""
    yield from _checked(runner.layout.run_provenance(run.id), lambda: _read(runner, run))
    yield from _checked(runner.layout.run(run.id), lambda: rerun(runner, run))


def _read(runner: Runner, run: Run) -> str:
    read_made(run, runner.layout)
    return "made from what is there"


def _checked(path: Path, check: Callable[[], str]) -> Iterator[Finding]:
    if not path.exists():
        yield Finding(str(path), None, "not there")
        return
    try:
        yield Finding(str(path), True, check())
    except InputError as error:
        yield Finding(str(path), False, str(error).removeprefix(f"{path}: "))


def _data(runner: Runner, prepared: Prepared) -> str:
    path = runner.layout.prepared(prepared.id)
    images = _images(path)
    if images.fingerprint() != read_tensors(path)[1]["fingerprint"]:
        raise InputError("other images than it says; delete it and run again")
    runner.check_prepared(prepared)
    return "holds the images that it names"


def _partition(runner: Runner, partitioned: Partitioned) -> str:
    path = runner.layout.partitioned(partitioned.id)
    content = read_json(path)
    if content != runner.dealt(partitioned):
        raise InputError("dealing the images out again gives other shares; delete it and run again")
    return "comes out again"


def _policy(runner: Runner, policy: TrainedPolicy) -> str:
    kept, (again, _) = policy.load(runner.layout), policy.learnt()
    if tensors_sha256(kept.weights) != tensors_sha256(again.weights):
        raise InputError("training it again gives another policy; delete it and run again")
    return "comes out again"


def _start(runner: Runner, start: Pretrained) -> str:
    path = runner.layout.pretrained(start.id)
    tensors, about = read_tensors(path)
    if about.get("start") != start.id or about.get("networks") != tensors_sha256(tensors):
        raise InputError("other networks than it says; delete it and run again")
    runner.settle(start)
    return "made from the images and the partition that are there"


def _choice(runner: Runner, tuned: Tuned) -> str:
    path = runner.layout.tuned(tuned.id)
    factor = runner.check_choice(tuned)
    metric = tuned.task.metric
    values = {each["factor"]: each["value"] for each in read_json(path)["trials"]}
    for tried, trial in tuned.trials().items():
        records = runner.layout.run(trial.id)
        if records.exists() and final_value(records, trial.training.rounds, metric.name) != values.get(tried):
            raise InputError(f"factor {tried:g} has another value in {records}; delete it and run again")
    if factor != best(values, metric):
        raise InputError(
            f"factor {best(values, metric):g} is the best of its trials; delete it and run again"
        )
    return "is the best of its trials"


def _described(runner: Runner, run: Run) -> str:
    made = read_made(run, runner.layout)
    again = runner.described(run, _images(runner.layout.prepared(run.partitioned.prepared.id)))
    for key, value in again.items():
        if key != "communication" and made.get(key) != value:  # where agents lived changes no number
            raise InputError(f"{key} is {made.get(key)!r}, expected {value!r}; delete it and run again")
    return "made from what is there, and described as it is"


def _last_round(runner: Runner, run: Run) -> str:
    difference = runner.repeat(run)
    if difference is not None:
        raise InputError(difference)
    return f"round {run.training.rounds} gives the recorded numbers again"


def _collected(runner: Runner) -> Iterator[Finding]:
    layout = runner.layout
    if not layout.records.exists():
        yield Finding(str(layout.records), None, "not there")
        return
    try:
        again = collected(runner.study, layout)
    except InputError as error:
        yield Finding(str(layout.records), False, f"cannot be joined again: {error}")
        return
    for path, content in ((layout.runs, again.runs), (layout.records, again.records)):
        yield from _checked(path, lambda path=path, content=content: _same(read_checked(path) == content))
    same = again.provenance == read_json(layout.provenance) if layout.provenance.exists() else False
    yield from _checked(layout.provenance, lambda: _same(same))


def _same(same: bool) -> str:
    if not same:
        raise InputError("joining the runs again gives another one; delete it and run again")
    return "comes out again"


def _link(path: Path) -> str:
    """A file with a checksum beside it: itself, what it was made from, and whose code made it."""
    read_checked(path)
    absent = [source for _, source in links_of(path)[1:] if not source.exists()]
    found = "made from what is there" if not absent else f"made from {absent[0]}, which is not there"
    first = checksum_path(path).read_text().partition("\n")[0]
    made_by = first.rpartition("code ")[2] if first.startswith("#") else ""
    present = {code("dimat", "theory"), code("dimat", "theory", "paper")}
    return found if made_by in {"", *present} else f"{found}, by other code ({first.removeprefix('# ')})"


def _images(path: Path) -> ImageSet:
    about = path.stat()
    return _read_images(path.absolute(), about.st_ino, about.st_mtime_ns)


@lru_cache(maxsize=1)
def _read_images(path: Path, *of_file: int) -> ImageSet:
    del of_file  # another file of this name is read again
    return ImageSet.load(path)
