"""What is to be done for studies: each job with those that come before it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dimat.experiment.config import Study
from dimat.experiment.kept import KeptData
from dimat.experiment.layout import Layout
from dimat.experiment.logs import Kind
from dimat.experiment.runner import Runner
from dimat.experiment.runs import Identified, Pretrained, Run

QUICK = ("prepare", "partition")
"""Steps that are done before all others."""
LONG = ("pretrain", "tune", "train")


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


def jobs_of(studies: Sequence[tuple[Study, Layout]], log: Kind | None = None) -> dict[str, Job]:
    """All jobs of studies by name, each after those that it needs; what is shared is done for the first.

    Those of `QUICK` steps come first. Runs are logged as ``log`` says.
    """
    kept = KeptData()
    found = [_jobs_of(Runner(study, layout, kept, log)) for study, layout in studies]
    jobs = {name: job for jobs in reversed(found) for name, job in jobs.items()}
    names = dict.fromkeys(name for jobs in found for name in jobs)
    return {name: jobs[name] for name in sorted(names, key=lambda name: jobs[name].step not in QUICK)}


def not_done(jobs: dict[str, Job]) -> dict[str, Job]:
    """Runs that are not there, and what they need that is not: a start of finished runs is not made again."""
    found: dict[str, Job] = {}
    needed: set[str] = set()
    for name, job in reversed(jobs.items()):
        if (job.step == "train" or name in needed) and not job.output.exists():
            found[name] = job
            needed.update(job.after)
    return dict(reversed(found.items()))


def _jobs_of(runner: Runner) -> dict[str, Job]:
    """Those of one study."""
    study, layout = runner.study, runner.layout
    jobs: dict[str, Job] = {}

    def add(job: Job) -> str:
        return jobs.setdefault(job.name, job).name

    def start_of(start: Pretrained) -> str:
        path, after = layout.pretrained(start.id), dealt_for(start)
        return add(Job("pretrain", start, path, runner.pretrain, runner.settle, after))

    def dealt_for(start: Pretrained) -> tuple[str, ...]:
        return f"prepare {start.partitioned.prepared.id}", f"partition {start.partitioned.id}"

    for prepared in study.prepared.values():
        add(Job("prepare", prepared, layout.prepared(prepared.id), runner.prepare, runner.check_prepared))
    for dealt in study.partitioned.values():
        path, after = layout.partitioned(dealt.id), f"prepare {dealt.prepared.id}"
        add(Job("partition", dealt, path, runner.partition, runner.check_partition, (after,)))
    for run in in_order(study.runs):
        after = [start_of(run.pretrained), *dealt_for(run)]
        if (tuned := run.tuned) is not None:
            trials = tuned.trials().values()
            before = [*(start_of(each.pretrained) for each in trials), *dealt_for(next(iter(trials)))]
            path = layout.tuned(tuned.id)
            after.append(add(Job("tune", tuned, path, runner.tune, runner.check_choice, tuple(before))))
        add(Job("train", run, layout.run(run.id), runner.train, runner.settle, tuple(after)))
    return jobs
