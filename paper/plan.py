"""What a study will take before anything is started: runs, hours, memory and disk."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.resources import Expected, expected
from dimat.experiment.runs import Pretrained, Run
from dimat.experiment.throughput import GUESSES, Device, named_device, this_device
from dimat.experiment.work import Images, images_of, images_read
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching
from paper.comparisons import comparisons
from paper.figures import figures_of
from paper.shown import Shown
from paper.tables import tables_of

BYTES_OF_ROW = 110
"""Of a number in records, with the id of its run; records lie there twice, alone and joined."""
TOGETHER = "all, what they share once"
"""What a plan of several studies calls their sum."""
SURE = 2
"""Factor within which times come true on a measured device that does nothing else."""


@dataclass(frozen=True)
class Line:
    """A line of the plan: how many, how many of them are there, and hours of all and of those left."""

    what: str
    count: int
    there: int
    hours: float
    left: float


class StudyPlan:
    """What every job of a study is expected to take on a device, one after the other."""

    def __init__(self, study: Study, layout: Layout, device: Device) -> None:
        self.study = study
        self.layout = layout
        self.device = device.with_threads(study.threads)
        self._images = {id: self._images_of(id) for id in study.prepared}
        jobs: dict[str, Pretrained] = {**study.pretrained, **study.tuned, **study.runs}
        self.expected = {id: self._expected(job) for id, job in jobs.items()}
        made = {id: layout.pretrained(id) for id in study.pretrained}
        made |= {id: layout.tuned(id) for id in study.tuned} | {id: layout.run(id) for id in study.runs}
        self.there = {id for id, path in made.items() if path.exists()}

    def _images_of(self, id: str) -> Images:
        path = self.layout.prepared(id)
        return images_read(path) if path.is_file() else images_of(self.study.prepared[id].data)

    def _expected(self, job: Pretrained) -> Expected:
        return expected(job, self.device, self._images[job.partitioned.prepared.id])

    def line(self, what: str, ids: Iterable[str]) -> Line:
        """The sum over jobs."""
        ids = dict.fromkeys(ids)
        left = [id for id in ids if id not in self.there]
        hours = [sum(self.expected[id].seconds for id in some) / 3600 for some in (ids, left)]
        return Line(what, len(ids), len(ids) - len(left), *hours)

    def needed_by(self, runs: Mapping[str, Run]) -> list[str]:
        """Ids of runs, and of the starts and choices that they need."""
        found = list(runs)
        for run in runs.values():
            found.append(run.pretrained.id)
            if (tuned := run.tuned) is not None:
                found += [tuned.id, *(trial.pretrained.id for trial in tuned.trials().values())]
        return found

    def by_method(self) -> Iterator[tuple[str, list[Line]]]:
        """For all runs that are compared with each other: their starts, and each method in its settings."""
        for comparison in comparisons(self.study):
            runs = comparison.runs
            needed = [id for id in dict.fromkeys(self.needed_by(runs)) if id not in runs]
            lines = [self.line("starts", (id for id in needed if id in self.study.pretrained))]
            if choices := [id for id in needed if id in self.study.tuned]:
                lines.append(self.line("choices of learning rates", choices))
            by_label: dict[str, list[str]] = {}
            for id, run in runs.items():
                by_label.setdefault(labelled(run), []).append(id)
            yield comparison.name, [*lines, *(self.line(*each) for each in by_label.items())]

    def by_figure(self) -> list[Line]:
        """For each figure and table of a part of the runs, these and what they need."""
        shown: dict[str, Shown] = {**figures_of(self.study), **tables_of(self.study)}
        parts = {id: getattr(each, "runs", None) for id, each in shown.items()}
        return [self.line(id, self.needed_by(runs)) for id, runs in parts.items() if isinstance(runs, dict)]

    def disk(self) -> float:
        """Bytes of data, starts, records, and one checkpoint."""
        runs = [(run, self.expected[id]) for id, run in self.study.runs.items()]
        starts = sum(self.expected[id].state / 3 for id in self.study.pretrained)  # without moments
        rows = sum(run.training.rounds * run.agents * 20 for run, _ in runs)
        kept = sum(each.state for _, each in runs) * self.study.keep_checkpoints
        largest = max(each.state for each in self.expected.values())
        data = sum(images.nbytes for images in self._images.values())
        return data + starts + 2 * BYTES_OF_ROW * rows + kept + largest


def labelled(run: Run) -> str:
    """The method, and what is not the default in how it matches and calibrates."""
    parts = [run.method.label()]
    defaults = (None, Matching(), Calibration())
    parts += [each.label() for each in (run.matching, run.calibration) if each and each not in defaults]
    return ", ".join(filter(None, [*parts, run.protocol]))


def device_for(study: Study, name: str | None) -> Device:
    """The device with this name in the table; `None`: that of this machine on which the study would run."""
    if name is not None:
        return named_device(name)
    if study.device != "cpu" and torch.cuda.is_available():
        return this_device(torch.device("cuda", 0))
    return GUESSES["cuda"] if study.device == "cuda" else this_device(torch.device("cpu"))


def planned(study: Study, layout: Layout, name: str | None) -> str:
    """The plan as text."""
    plan = StudyPlan(study, layout, device_for(study, name))
    counts = [
        counted(len(study.runs), "run"),
        counted(len(study.pretrained), "start"),
        counted(len(study.tuned), "choice", "choices") + " of learning rates",
        counted(len(study.prepared), "data set"),
    ]
    threads = f", threads {study.threads}" if plan.device.threads else ""
    groups = list(plan.by_method())
    shown = plan.by_figure()
    kinds = {"all starts": study.pretrained, "all choices": study.tuned, "all runs": study.runs}
    whole = [plan.line(what, ids) for what, ids in kinds.items() if ids]
    whole.append(plan.line("everything", plan.expected))
    lines = [line for _, part in groups for line in part] + shown + whole
    width = max(len(line.what) for line in lines) + 2

    def text(line: Line) -> str:
        return (
            f"  {line.what:{width}}{line.count:7}{line.there:7}"
            f"{in_hours(line.hours):>10}{in_hours(line.left):>10}"
        )

    title = f"  {'':{width}}{'jobs':>7}{'there':>7}{'hours':>10}{'left':>10}"
    out = [f"{study.name}: {', '.join(counts)}", f"on {plan.device.name}{threads}", title]
    for comparison, part in groups:
        out += [comparison, *map(text, part)]
    out += ["figures and tables, with the starts they need", *map(text, shown)] if shown else []
    out += ["total", *map(text, whole), *footer(plan)]
    return "\n".join(line.rstrip() for line in out)


def planned_together(studies: Iterable[Study], results: Path, name: str | None) -> str:
    """The plan of several studies as text: a line for each, and for all; what they share is counted once."""
    plans = [StudyPlan(study, Layout(results / study.name), device_for(study, name)) for study in studies]
    rows = [(len(plan.study.runs), plan.line(plan.study.name, plan.expected)) for plan in plans]
    # What several have, the first makes.
    jobs = {
        id: (expected.seconds / 3600, id in plan.there)
        for plan in reversed(plans)
        for id, expected in plan.expected.items()
    }
    there = sum(there for _, there in jobs.values())
    hours = [sum(each for each, _ in jobs.values()), sum(each for each, there in jobs.values() if not there)]
    runs = {id for plan in plans for id in plan.study.runs}
    rows.append((len(runs), Line(TOGETHER, len(jobs), there, *hours)))
    width = max(len(line.what) for _, line in rows) + 2
    out = [f"  {'':{width}}{'runs':>7}{'jobs':>7}{'there':>7}{'hours':>10}{'left':>10}"]
    out += [
        f"  {line.what:{width}}{runs:7}{line.count:7}{line.there:7}{in_hours(line.hours):>10}"
        f"{in_hours(line.left):>10}"
        for runs, line in rows
    ]
    devices = {plan.device.name: plan.device for plan in plans}
    sure = [f"On {device}: {how_sure(devices[device])}" for device in devices]
    return "\n".join([*(line.rstrip() for line in out), *sure])


def counted(number: int, one: str, more: str = "") -> str:
    """A number and what it counts."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def footer(plan: StudyPlan) -> list[str]:
    """The largest and the longest job, the disk, and how sure all that is."""
    found = plan.expected.values()
    gigabytes = max(each.bytes for each in found) / 1e9
    on_gpu = max(each.on_gpu for each in found) / 1e9
    gpu = f", and {on_gpu:.1f} GB of the GPU's" if on_gpu else ""
    return [
        f"The largest job holds {gigabytes:.1f} GB of memory{gpu}; the longest takes "
        f"{in_hours(max(each.seconds for each in found) / 3600)} hours. Disk: {plan.disk() / 1e9:.1f} GB.",
        how_sure(plan.device),
    ]


def how_sure(device: Device) -> str:
    """One sentence."""
    if device.measured:
        return (
            f"Times come from rates measured on this device ({device.measured}); expect them within a factor "
            f"of {SURE}, one job at a time and nothing beside it."
        )
    return (
        "Times are a conservative guess, as this device was never measured: they may be ten times too long; "
        "dimat bench throughput --write measures it."
    )


def in_hours(hours: float) -> str:
    """Hours with as many digits as are of use."""
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 1 else f"{hours:.3f}"
