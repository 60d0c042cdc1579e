"""How fast jobs are done, and whether there is time for one more."""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from dimat.agents.agents import Diverged
from dimat.experiment.config import Study
from dimat.experiment.devices import choose_device
from dimat.experiment.interruption import Interrupted, has_time_for, signalled
from dimat.experiment.jobs import Job
from dimat.experiment.layout import Layout
from dimat.experiment.resources import Expected, expected
from dimat.experiment.runs import Prepared, Pretrained
from dimat.experiment.throughput import Device, this_device
from dimat.experiment.work import Images, images_of, images_read

DISK = 5e7
"""Bytes a second in which a checkpoint is surely written, before any was."""

ENOUGH = 30.0
"""Seconds of jobs that say as much of this machine's pace as the table of throughputs does."""


@dataclass
class Pace:
    """Seconds that jobs are expected to take, corrected by those that others took in this process."""

    device: Device
    layout: Layout
    took: float = 0.0
    foreseen: float = 0.0
    _images: dict[str, Images] = field(default_factory=dict)
    _known: dict[tuple[str, Images], Expected] = field(default_factory=dict)

    @classmethod
    def of_study(cls, study: Study, layout: Layout) -> "Pace":
        """That of the device which a study asks for."""
        device = this_device(choose_device(study.device, layout.locks))
        return cls(device.with_threads(study.threads), layout)

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
        if not isinstance(job.item, Pretrained):
            return
        self.took += seconds
        self.foreseen += self.of(job)[0]


def carried_out(job: Job, pace: Pace) -> tuple[float, Diverged | None, bool]:
    """Do a job: the seconds that it took, how it diverged, if so, and whether it went on from a checkpoint.

    `Interrupted` if it is asked to leave, or cannot reach its first checkpoint in time.
    """
    _, first, saving = pace.of(job)
    if not has_time_for(pace.factor * first, saving):
        why = "asked to leave" if signalled() else "out of time"
        raise Interrupted(f"{why}; run again to go on with {job.name}")
    began, resumed = time.monotonic(), pace.layout.checkpoint(job.item.id).exists()
    diverged = None
    try:
        with logged_to(pace.layout.log(job.step, job.item.id)):
            job.carry_out(job.item)
    except Interrupted as request:
        raise Interrupted(f"{job.name}: {request}") from None
    except Diverged as error:
        diverged = error
    return time.monotonic() - began, diverged, resumed


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
