"""Everything of a study that is not done yet, in one process: `dimat sweep`.

Data and partitions come first, as they are quick and most mistakes are found in them. Then each run follows
what it needs: its start, and the choice of its learning rate. Runs come in the order of the configuration,
its own grid before its variants, but all settings with their first seed before any with its second:
wherever a sweep ends, methods have been compared as far as it came.
"""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import override

from dimat.agents.agents import Diverged
from dimat.errors import InputError
from dimat.experiment.collect import collect
from dimat.experiment.config import Study
from dimat.experiment.devices import choose_device
from dimat.experiment.interruption import Interrupted, has_time_for, signalled
from dimat.experiment.layout import Layout
from dimat.experiment.resources import Expected, expected
from dimat.experiment.runner import Runner
from dimat.experiment.runs import Identified, Prepared, Pretrained, Run
from dimat.experiment.throughput import Device, this_device
from dimat.experiment.work import Images, images_of, images_read

DISK = 5e7
"""Bytes a second in which a checkpoint is surely written, before any was."""

ENOUGH = 30.0
"""Seconds of jobs that say as much of this machine's pace as the table of throughputs does."""


@dataclass(frozen=True)
class Job:
    """One thing to do: a step for an ``item``, what it writes, and the jobs that come before it."""

    step: str
    item: Identified
    output: Path
    carry_out: Callable[[Any], object]
    settle: Callable[[Any], object]
    after: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The step and the id."""
        return f"{self.step} {self.item.id}"


def in_order(runs: Mapping[str, Run]) -> list[Run]:
    """Runs as a sweep does them: all settings with their first seed, then all with their second."""
    seeds: Counter[Any] = Counter()
    turns = []
    for run in runs.values():
        setting = tuple(getattr(run, name) for name in Run.model_fields if name not in ("seed", "measures"))
        turns.append(seeds[setting])
        seeds[setting] += 1
    ordered = sorted(zip(turns, runs.values(), strict=True), key=lambda turn: turn[0])
    return [run for _, run in ordered]


def jobs_of(runner: Runner) -> dict[str, Job]:
    """All jobs of a study by name, each after those that it needs."""
    study, layout = runner.study, runner.layout
    jobs: dict[str, Job] = {}

    def add(job: Job) -> str:
        return jobs.setdefault(job.name, job).name

    def start_of(start: Pretrained) -> str:
        return add(Job("pretrain", start, layout.pretrained(start.id), runner.pretrain, runner.settle))

    for prepared in study.prepared.values():
        add(Job("prepare", prepared, layout.prepared(prepared.id), runner.prepare, runner.check_prepared))
    for dealt in study.partitioned.values():
        path = layout.partitioned(dealt.id)
        add(Job("partition", dealt, path, runner.partition, runner.check_partition))
    for run in in_order(study.runs):
        after = [start_of(run.pretrained)]
        if (tuned := run.tuned) is not None:
            starts = tuple(start_of(trial.pretrained) for trial in tuned.trials().values())
            path = layout.tuned(tuned.id)
            after.append(add(Job("tune", tuned, path, runner.tune, runner.check_choice, starts)))
        add(Job("train", run, layout.run(run.id), runner.train, runner.settle, tuple(after)))
    return jobs


@dataclass
class Pace:
    """Seconds that jobs are expected to take, corrected by those that others took in this process."""

    device: Device
    layout: Layout
    took: float = 0.0
    foreseen: float = 0.0
    _images: dict[str, Images] = field(default_factory=dict)
    _known: dict[tuple[str, Images], Expected] = field(default_factory=dict)

    @property
    def factor(self) -> float:
        """What jobs took over what they were expected to take, once they have taken long enough to tell."""
        return (self.took + ENOUGH) / (self.foreseen + ENOUGH)

    def of(self, job: Job) -> tuple[float, float, float]:
        """Seconds of a job, up to its first checkpoint, and of writing that, before any correction."""
        if not isinstance(job.item, Pretrained):
            return 0.0, 0.0, 0.0
        key = job.name, self.images(job.item.partitioned.prepared)
        if key not in self._known:
            self._known[key] = expected(job.item, self.device, key[1])
        found = self._known[key]
        return found.seconds, found.first, found.state / DISK

    def left(self, jobs: Iterable[Job]) -> float:
        """Seconds that these jobs will take."""
        return self.factor * sum(self.of(job)[0] for job in jobs)

    def images(self, prepared: Prepared) -> Images:
        """Those of a data set: counted if it was read, else what can be told before."""
        path = self.layout.prepared(prepared.id)
        if not path.is_file():
            return images_of(prepared.data)
        if prepared.id not in self._images:
            self._images[prepared.id] = images_read(path)
        return self._images[prepared.id]

    def learn(self, job: Job, seconds: float) -> None:
        """A job took so long, from its beginning."""
        self.took += seconds
        self.foreseen += self.of(job)[0]


def sweep(study: Study, layout: Layout) -> None:
    """Carry out all jobs of a study that are not done, and join the records when all runs are there.

    `Interrupted` if it is asked to leave, or the time limit comes first: run again to go on. What diverges
    does not stop the others; in the end `Diverged` names it, and nothing is joined.
    """
    if study.communication.name != "in_process":
        raise InputError(
            f"communication: {study.communication.name!r} needs a process for each agent; for a sweep, "
            "expected in_process"
        )
    device = choose_device(study.device, layout.locks)  # which may wait, and says so
    pace = Pace(this_device(device).with_threads(study.threads), layout)
    jobs = jobs_of(Runner(study, layout))
    left = {name: job for name, job in jobs.items() if not job.output.exists()}
    logging.info("%d of %d to do%s", len(left), len(jobs), said_of(pace, left))
    lost: dict[str, Diverged | str] = {}
    for name, job in jobs.items():
        if name not in left:
            job.settle(job.item)
            continue
        if (cause := next((before for before in job.after if before in lost), None)) is not None:
            lost[name] = cause
            del left[name]
            logging.error("%s: not begun, as %s is not there", name, cause)
            continue
        begin(job, pace, left)
        began, resumed = time.monotonic(), layout.checkpoint(job.item.id).exists()
        try:
            with logged_to(layout.log(job.step, job.item.id)):
                job.carry_out(job.item)
        except Interrupted as request:
            raise Interrupted(f"{name}: {request}; {len(left)} remain{said_of(pace, left)}") from None
        except Diverged as error:
            lost[name] = error
        took = time.monotonic() - began
        del left[name]
        if name not in lost and not resumed and isinstance(job.item, Pretrained):
            pace.learn(job, took)
        done = "diverged" if name in lost else "done"
        after = f"{len(left)} remain{said_of(pace, left)}"
        logging.info("%s: %s in %s; %s", name, done, in_words(took), after)
    if lost:
        raise summed_up(lost, len(study.runs))
    collect(study, layout)
    logging.info("%s written", layout.records)


def begin(job: Job, pace: Pace, left: Mapping[str, Job]) -> None:
    """`Interrupted` unless a job can reach its first checkpoint in time."""
    _, first, saving = pace.of(job)
    if not has_time_for(pace.factor * first, saving):
        why = "asked to leave" if signalled() else "out of time"
        raise Interrupted(
            f"{why}; run again to go on with {job.name}; {len(left)} remain{said_of(pace, left)}"
        )


def summed_up(lost: Mapping[str, Diverged | str], runs: int) -> Diverged:
    """One line about everything that diverged, and what was not begun therefore."""
    diverged = {name: error for name, error in lost.items() if isinstance(error, Diverged)}
    missing = sum(name.startswith("train ") for name in lost)
    first = next(iter(diverged.values()))
    said = str(first) if len(diverged) == 1 else f"{', '.join(diverged)} diverged; expected smaller rates"
    return Diverged(f"{said}; {missing} of {runs} runs are not there")


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """What jobs say of epochs and rounds goes into a file, as in the pipeline, and not to the terminal."""
    log = logging.getLogger("dimat")
    path.parent.mkdir(parents=True, exist_ok=True)
    handler, propagates = LogFile(path, encoding="utf-8"), log.propagate
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = propagates
        log.removeHandler(handler)
        handler.close()


class LogFile(logging.FileHandler):
    """A file that is written, or an error: not a traceback beside other output."""

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        raise


def said_of(pace: Pace, jobs: Mapping[str, Job]) -> str:
    """How long these jobs will take, in words; nothing if there are none."""
    if not jobs:
        return ""
    sure = "" if pace.foreseen or pace.device.measured else ", a guess"
    return f", about {in_words(pace.left(jobs.values()))}{sure}"


def in_words(seconds: float) -> str:
    """A time as short as it is of use."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 9.5 else f"{math.ceil(seconds * 10) / 10:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
