"""How far a study has come, from the files that are there: nothing is locked, written or waited for.

It says the same while jobs run, whoever runs them, and after they were killed.
"""

import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dimat.errors import InputError
from dimat.experiment.config import AXES, Study
from dimat.experiment.devices import choose_device
from dimat.experiment.jobs import Job, jobs_of, not_done
from dimat.experiment.layout import Layout
from dimat.experiment.pace import Pace
from dimat.experiment.records import final_value
from dimat.experiment.runs import Run
from dimat.experiment.throughput import this_device
from dimat.io.files import read_json
from dimat.tasks.task import Metric

STEPS = ("prepare", "partition", "pretrain", "tune", "train")
QUIET = 120.0
"""Seconds without a sign of life after which a job no longer counts as one that runs."""
TAIL = 4000
"""Bytes at the end of a log in which the last line is looked for."""
SAID = re.compile(r"(?:epoch|round) (\d+) of (\d+)")


@dataclass(frozen=True)
class StepDone:
    """How many jobs of a kind there are, are done, and have begun."""

    name: str
    jobs: int
    done: int
    begun: int


@dataclass(frozen=True)
class Begun:
    """A job that has begun and is not done.

    ``share`` of it is done as far as its log says, whose last line is ``said``. It was last heard of
    ``quiet`` seconds ago.
    """

    name: str
    share: float
    said: str
    quiet: float

    @property
    def runs(self) -> bool:
        """Whether it was heard of just now."""
        return self.quiet < QUIET


@dataclass(frozen=True)
class Score:
    """The primary ``metric`` after the last merge, as mean over agents, in the runs of a ``label``.

    There are ``values`` for some of ``of`` seeds.
    """

    label: str
    metric: Metric
    values: tuple[float, ...]
    of: int

    @property
    def words(self) -> str:
        """Mean and standard deviation over seeds, in the unit of the metric."""
        if not self.values:
            return ""
        scaled = [value * self.metric.scale for value in self.values]
        apart = f" ± {statistics.stdev(scaled):.2g}" if len(scaled) > 1 else ""
        return f"{statistics.mean(scaled):.4g}{apart} {self.metric.unit}".rstrip()


@dataclass(frozen=True)
class Standing:
    """How far a study has come; ``seconds`` are left if as many jobs run as do now, `None` if none is."""

    steps: Sequence[StepDone]
    begun: Sequence[Begun]
    scores: Sequence[Score]
    seconds: float | None
    unreadable: Sequence[str]

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.seconds is None


@dataclass
class Observer:
    """Looks at the files of a study, again and again; finished runs are read once."""

    study: Study
    layout: Layout
    _values: dict[tuple[Path, int], float] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._jobs = jobs_of([(self.study, self.layout)])
        device = this_device(choose_device("cpu" if self.study.device == "cpu" else "auto"))
        self._pace = Pace(device.with_threads(self.study.threads), self.layout)
        self._labels = labels_of(self.study.runs)

    def look(self) -> Standing:
        """What the files say now."""
        left = not_done(self._jobs)
        begun = {name: found for name, job in left.items() if (found := self._begun(job)) is not None}
        steps = []
        for step in STEPS:
            jobs = [job for job in self._jobs.values() if job.step == step]
            waits = sum(job.name in left for job in jobs)
            started = sum(job.name in begun for job in jobs)
            if jobs:
                steps.append(StepDone(step, len(jobs), len(jobs) - waits, started))
        unreadable: list[str] = []
        scores = list(self._scores(unreadable))
        self._learn()
        rest = sum(
            self._pace.of(job)[0] * (1 - begun[name].share if name in begun else 1)
            for name, job in left.items()
        )
        at_once = max(1, sum(each.runs for each in begun.values()))
        seconds = self._pace.factor * rest / at_once if left else None
        return Standing(steps, list(begun.values()), scores, seconds, unreadable)

    def _begun(self, job: Job) -> Begun | None:
        """What is there of a job that is not done, if anything is."""
        log = self.layout.log(job.step, job.item.id)
        signs = [
            age for path in (log, self.layout.checkpoint(job.item.id)) if (age := age_of(path)) is not None
        ]
        if not signs:
            return None
        said = last_line(log)
        match = next(iter(SAID.finditer(said)), None)
        share = int(match[1]) / max(1, int(match[2])) if match else 0.0
        return Begun(job.name, min(share, 1.0), said, min(signs))

    def _scores(self, unreadable: list[str]) -> Iterator[Score]:
        """Those of all settings, in the order of the study; names what cannot be read."""
        for label, runs in self._labels.items():
            values = []
            for run in runs:
                path = self.layout.run(run.id)
                try:
                    key = path, path.stat().st_mtime_ns
                    if key not in self._values:
                        self._values[key] = final_value(path, run.training.rounds, run.task.metric.name)
                    values.append(self._values[key])
                except FileNotFoundError:
                    continue
                except InputError:
                    unreadable.append(run.id)
            yield Score(label, runs[0].task.metric, tuple(values), len(runs))

    def _learn(self) -> None:
        """How long finished runs took, which corrects what the others are expected to take."""
        for id in self.study.runs:
            path = self.layout.run_provenance(id)
            if id not in self._seconds and path.is_file():
                with suppress(InputError, KeyError):
                    self._seconds[id] = float(read_json(path)["seconds"])
                    self._pace.learn(self._jobs[f"train {id}"], self._seconds[id])


def labels_of(runs: Mapping[str, Run]) -> dict[str, list[Run]]:
    """Runs that differ in nothing but their seed, by what tells them from the others of a study."""
    settings: dict[str, list[Run]] = {}
    for run in runs.values():
        settings.setdefault(run.model_copy(update={"seed": 0}).id, []).append(run)
    names = ("protocol", "method", *(name for name in AXES if name != "method"), "training", "attack")
    said = {name: {id: words(run[0], name) for id, run in settings.items()} for name in names}
    telling = [name for name in names if name == "method" or len(set(said[name].values())) > 1]
    found: dict[str, list[Run]] = {}
    for id, alike in settings.items():
        label = ", ".join(filter(None, (said[name][id] for name in telling)))
        while label in found:
            label = f"{label} ({alike[0].id[-4:]})"
        found[label] = alike
    return found


def words(run: Run, name: str) -> str:
    """A part of a run in words."""
    value = getattr(run, name)
    if name == "method":
        return ", ".join([value.title, *value.changes()])
    if name == "agents":
        return f"{value} agents"
    if value is None or isinstance(value, str):
        return value or ""
    return value.label()


def age_of(path: Path) -> float | None:
    """Seconds since a file was written, or `None` if it is not there."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None


def last_line(log: Path) -> str:
    """The last line of a log that says how far a job is, or else the last one; without the time of day."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            lines = file.read().decode(errors="replace").replace("\r", "\n").splitlines()
    except OSError:
        return ""
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", line).strip() for line in lines]
    lines = [line for line in lines if line]
    return next((line for line in reversed(lines) if SAID.match(line)), lines[-1] if lines else "")
