"""Processes that do a sweep's jobs beside each other.

Each builds the jobs of all studies for itself and is told their names. Networks that are too small to fill
a GPU share it so; on a machine with several, processes take them in turn.
"""

import logging
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import NamedTuple, Self

from dimat.agents.agents import Diverged
from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.experiment.interruption import Interrupted, leave_by, listen, signalled
from dimat.experiment.jobs import Job, jobs_of
from dimat.experiment.layout import Layout
from dimat.experiment.logs import Kind
from dimat.experiment.pace import Pace, carried_out

PATIENCE = 0.5
"""Seconds after which it is asked again whether a signal has come."""


class Outcome(NamedTuple):
    """What became of a job: seconds, how it diverged, whether it went on from a checkpoint."""

    seconds: float
    diverged: Diverged | None
    resumed: bool


@dataclass
class Worker:
    """A process, this end of a pipe to it, and the ``job`` that it does."""

    process: BaseProcess
    connection: Connection
    job: str | None = None


class Workers:
    """So many ``processes``, which leave before the moment ``end`` of `time.monotonic`.

    Within a ``with`` block they wait for jobs; when it ends, they are ended.
    """

    def __init__(
        self,
        studies: Sequence[tuple[Study, Layout]],
        processes: int,
        end: float | None = None,
        log: Kind | None = None,
    ) -> None:
        self._about = list(studies), end, log
        self._processes = processes
        self._workers: list[Worker] = []
        self._told = False

    def __enter__(self) -> Self:
        context = get_context("spawn")  # a fork would share threads and a device's state
        for number in range(self._processes):
            ours, theirs = Pipe()
            process = context.Process(target=work, args=(theirs, number), daemon=True)
            process.start()
            theirs.close()
            self._workers.append(Worker(process, ours))  # pyright: ignore[reportArgumentType]  (on Windows)
        for worker in self._workers:  # once all of them are on their way: each reads it when it has started
            with suppress(OSError):  # it is gone, which `outcomes` says
                worker.connection.send(self._about)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._ask_to_leave()
        for worker in self._workers:
            with suppress(OSError):
                worker.connection.send(None)
        for worker in self._workers:
            worker.process.join()

    @property
    def idle(self) -> bool:
        """Whether a process has nothing to do, and nobody was asked to leave."""
        return not self._told and not signalled() and any(worker.job is None for worker in self._workers)

    def give(self, job: Job) -> None:
        """Have a process that is idle do a job."""
        worker = next(worker for worker in self._workers if worker.job is None)
        worker.job = job.name
        with suppress(OSError):  # it is gone
            worker.connection.send(job.name)

    def outcomes(self) -> Iterator[tuple[str, Outcome | Interrupted]]:
        """Wait until jobs have ended; their names, and what became of them.

        `InputError` if one of them found a mistake, or if its process has died.
        """
        busy = {worker.connection: worker for worker in self._workers if worker.job is not None}
        while not (ready := wait(list(busy), PATIENCE)):
            if signalled():
                self._ask_to_leave()
        for connection in ready:
            worker = next(worker for each, worker in busy.items() if each is connection)
            name, worker.job = worker.job or "", None
            try:
                outcome = worker.connection.recv()
            except (EOFError, OSError):
                worker.process.join()
                if code := worker.process.exitcode:
                    raise InputError(f"{name}: its process has died, with exit code {code}") from None
                outcome = Interrupted("out of time; run again to go on after the last checkpoint")
            if isinstance(outcome, InputError):
                raise outcome
            yield name, outcome

    def _ask_to_leave(self) -> None:
        """Pass a request to leave on."""
        if not self._told:
            self._told = True
            for worker in self._workers:
                worker.process.terminate()  # SIGTERM, to which a job listens


def work(connection: Connection, number: int) -> None:
    """Do jobs of the studies that come first, as their names come, until none does or the sender is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes, and the first one sees to it
    listen()
    os.environ["LOCAL_RANK"] = str(number)  # which of the GPUs is this one's
    logging.getLogger("dimat").setLevel(logging.INFO)
    with suppress(EOFError, OSError, Interrupted):
        studies, end, log = connection.recv()
        leave_by(end)
        jobs, pace = jobs_of(studies, log), Pace.of_study(*studies[0])
        while (name := connection.recv()) is not None:
            connection.send(done(jobs[name], pace))


def done(job: Job, pace: Pace) -> Outcome | InputError | Interrupted:
    """What becomes of a job."""
    try:
        seconds, diverged, resumed = carried_out(job, pace)
    except Interrupted as request:
        return request
    except InputError as error:
        return InputError(str(error))  # whatever its kind needs to be made, a message passes through the pipe
    except OSError as error:  # a full disk, no permission
        return InputError(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    if diverged is None:
        pace.learn(job, seconds)
    return Outcome(seconds, diverged, resumed)
