"""Everything of studies that is not done yet, without Snakemake: `dimat sweep`.

Data and partitions come first, as they are quick and most mistakes are found in them. Then each run follows
what it needs: its start, and the choice of its learning rate. Studies come in the order given, and runs of
one in the order of its configuration, its own grid before its variants, but all settings with their first
seed before any with its second: wherever a sweep ends, methods have been compared as far as it came, and
the records of studies whose runs are all there are joined.
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from dimat.agents.agents import Diverged
from dimat.errors import InputError
from dimat.experiment.collect import collect
from dimat.experiment.config import Study
from dimat.experiment.devices import choose_device
from dimat.experiment.interruption import Interrupted, leave_by
from dimat.experiment.jobs import LONG, QUICK, Job, jobs_of, not_done
from dimat.experiment.layout import Layout
from dimat.experiment.logs import Kind
from dimat.experiment.pace import Pace, carried_out
from dimat.experiment.workers import Workers


@dataclass
class Progress:
    """What is ``left`` of a sweep, by name, and what was ``lost``; each job that ends is a line.

    So many ``processes`` do jobs beside each other.
    """

    left: dict[str, Job]
    pace: Pace
    processes: int = 1
    lost: dict[str, Diverged | str] = field(default_factory=dict)

    def next(self, steps: Sequence[str], put_aside: Iterable[str] = ()) -> Job | None:
        """The first job of these steps that waits for nothing and is not ``put_aside``, if any.

        Those that wait for what was lost are lost, too.
        """
        for name, job in list(self.left.items()):
            if (cause := next((before for before in job.after if before in self.lost), None)) is not None:
                self.lost[name] = cause
                del self.left[name]
                logging.error("%s: not begun, as %s is not there", name, cause)
                continue
            waits = any(before in self.left for before in job.after)
            if job.step in steps and name not in put_aside and not waits:
                return job
        return None

    def ended(self, job: Job, seconds: float, diverged: Diverged | None, resumed: bool) -> None:
        """A job is done, or has ``diverged``."""
        del self.left[job.name]
        if diverged is not None:
            self.lost[job.name] = diverged
        elif not resumed:
            self.pace.learn(job, seconds)
        how = "done" if diverged is None else "diverged"
        logging.info("%s: %s in %s; %s", job.name, how, in_words(seconds), self.remaining)

    @property
    def remaining(self) -> str:
        """How many jobs are left, and how long they will take, in words."""
        return f"{len(self.left)} remain{self.foreseen}"

    @property
    def foreseen(self) -> str:
        """How long what is left will take, in words; nothing if nothing is."""
        if not self.left:
            return ""
        sure = "" if self.pace.foreseen or self.pace.device.measured else ", a guess"
        return f", about {in_words(self.pace.left(self.left.values()) / self.processes)}{sure}"


def sweep(
    studies: Sequence[tuple[Study, Layout]],
    processes: int = 1,
    end: float | None = None,
    log: Kind | None = None,
) -> None:
    """Carry out all jobs of studies that are not done, and join the records of each when all runs are there.

    Several ``processes`` do jobs beside each other and leave before the moment ``end`` of `time.monotonic`;
    one is this process, whose own limit counts. `Interrupted` if it is asked to leave, or the time limit
    comes first: run again to go on. What diverges does not stop the others; in the end `Diverged` names it,
    and studies that it belongs to are not joined. Runs are logged as ``log`` says.
    """
    for study, _ in studies:
        if study.communication.name != "in_process":
            raise InputError(
                f"communication: {study.communication.name!r} needs a process for each agent; for a sweep, "
                "expected in_process"
            )
    study, layout = studies[0]
    jobs = jobs_of(studies, log)
    workers = Workers(studies, processes, end, log) if processes > 1 else None
    if workers is None:
        choose_device(study.device, layout.locks)  # which may wait, and says so
    pace = Pace.of_study(study, layout)
    left = not_done(jobs)
    there = [job for job in jobs.values() if job.output.exists()]
    progress = Progress(dict(left), pace, processes)
    logging.info("%d of %d to do%s", len(left), len(jobs), progress.foreseen)
    try:
        with workers or nullcontext():
            for steps in (QUICK, LONG):
                done = [job for job in there if job.step in steps]
                whole = [job for job in done if not any(before in left for before in job.after)]
                for job in whole:
                    job.settle(job.item)
                if workers is None:
                    one_by_one(progress, steps)
                else:
                    in_processes(progress, steps, workers)
                for job in done:  # what it was made from is there again
                    if job not in whole:
                        job.settle(job.item)
    except Interrupted:
        join_in_time(studies, end)
        raise
    for study, layout in complete(studies):
        join(study, layout)
    if progress.lost:
        raise summed_up(progress.lost, sum(job.step == "train" for job in jobs.values()))


def complete(studies: Iterable[tuple[Study, Layout]]) -> list[tuple[Study, Layout]]:
    """Those of ``studies`` whose runs are all there."""
    return [
        (study, layout) for study, layout in studies if all(layout.run(run).exists() for run in study.runs)
    ]


def join(study: Study, layout: Layout) -> None:
    """Join the records of a study whose runs are all there."""
    collect(study, layout)
    logging.info("%s written", layout.records)


def join_in_time(studies: Sequence[tuple[Study, Layout]], end: float | None) -> None:
    """Join the records of studies whose runs are all there, before the moment ``end``; say which are left.

    Those that were never joined come first. A mistake in one is said, and keeps nobody from leaving.
    """
    left = sorted(complete(studies), key=lambda each: each[1].records.exists())
    try:
        leave_by(end)
        while left:
            try:
                join(*left[0])
            except InputError as error:
                logging.error("%s: not joined: %s", left[0][0].name, error)
            del left[0]
    except Interrupted:
        for study, _ in left:
            logging.warning("%s: all runs are there, and left to join (dimat collect)", study.name)
    finally:
        leave_by(None)


def one_by_one(progress: Progress, steps: Sequence[str]) -> None:
    """Do jobs of these steps in this process."""
    while (job := progress.next(steps)) is not None:
        try:
            outcome = carried_out(job, progress.pace)
        except Interrupted as request:
            raise Interrupted(f"{request}; {progress.remaining}") from None
        progress.ended(job, *outcome)


def in_processes(progress: Progress, steps: Sequence[str], workers: Workers) -> None:
    """Give jobs of these steps out until none is left, or nobody has time for one."""
    put_aside: dict[str, Interrupted] = {}
    given: dict[str, Job] = {}
    while True:
        while workers.idle and (job := progress.next(steps, {*put_aside, *given})) is not None:
            given[job.name] = job
            workers.give(job)
        if not given:
            break
        for name, outcome in workers.outcomes():
            job = given.pop(name)
            if isinstance(outcome, Interrupted):
                put_aside[name] = outcome
            else:
                progress.ended(job, *outcome)
    if put_aside or any(job.step in steps for job in progress.left.values()):
        why = next(iter(put_aside.values()), "asked to leave; run again to go on")
        raise Interrupted(f"{why}; {progress.remaining}")


def summed_up(lost: Mapping[str, Diverged | str], runs: int) -> Diverged:
    """One line about everything that diverged, and what was not begun therefore."""
    diverged = {name: error for name, error in lost.items() if isinstance(error, Diverged)}
    missing = sum(name.startswith("train ") for name in lost)
    first = next(iter(diverged.values()))
    said = str(first) if len(diverged) == 1 else f"{', '.join(diverged)} diverged; expected smaller rates"
    return Diverged(f"{said}; {missing} of {runs} runs are not there")


def in_words(seconds: float) -> str:
    """A time as short as it is of use."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 9.5 else f"{math.ceil(seconds * 10) / 10:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
