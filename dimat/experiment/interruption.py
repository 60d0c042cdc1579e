"""Requests to leave: a cluster signals a job before it ends it, or a booking ends.

SIGTERM and SIGUSR1, from Slurm ahead of a time limit or a preemption, SIGHUP when a terminal or a connection
is closed, and SIGINT (Ctrl-C) do not end a job at once: it writes a checkpoint at the next moment at which it
can, then raises `Interrupted`. A second Ctrl-C does not wait. A time limit (`leave_by`) is such a request
that comes early enough.
"""

import os
import signal
import time
from dataclasses import dataclass
from types import FrameType

EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong, run the same command again."""
LEAVING = 2.0
"""Seconds that a process takes to end."""
SPARE = 1.25
"""Factor on what the slowest round and the last checkpoint took, when the next ones must fit a time limit."""


class Interrupted(BaseException):
    """The job was asked to leave, and its checkpoint is written.

    A time limit may raise it in the middle of anything: what takes any `Exception` for a damaged file must
    not take this.
    """


@dataclass
class _Limit:
    """``end`` and ``asked`` are moments of `time.monotonic`: of the limit, and when a job last asked."""

    end: float
    asked: float
    slowest: float = 0.0
    """Longest time in seconds from one question of a job to its next."""
    saving: float = 0.0
    """Seconds that a first checkpoint of the job is expected to take."""


_asked = False
_limit: _Limit | None = None


def listen() -> None:
    """Take these signals as requests from now on."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT):
        ignored = signal.getsignal(number) is signal.SIG_IGN
        if ignored and number in (signal.SIGHUP, signal.SIGINT):
            continue  # as nohup and a shell's background ask for; Snakemake ignores SIGUSR1 for itself alone
        signal.signal(number, _ask)


def leave_by(end: float | None) -> None:
    """This process must have left at the moment ``end`` of `time.monotonic`; `None`: it may stay.

    `asked_to_leave` then says so while there is time for one more round and a checkpoint. Should that take
    longer than any before, `Interrupted` is raised in the middle of it, just before the end: nothing is lost
    but what came after the last checkpoint, as files are whole or absent.
    """
    global _limit
    now = time.monotonic()
    _limit = None if end is None else _Limit(end, now)
    signal.signal(signal.SIGALRM, signal.SIG_DFL if end is None else _leave)
    signal.setitimer(signal.ITIMER_REAL, 0 if end is None else max(end - LEAVING - now, 1e-3))


def has_time_for(seconds: float, saving: float) -> bool:
    """Whether a job can begin that has a first checkpoint to write after ``seconds``, in ``saving`` seconds.

    It begins now: what earlier ones took does not count for it.
    """
    if _limit is None:
        return not _asked
    _limit.asked, _limit.slowest, _limit.saving = time.monotonic(), 0.0, saving
    return not _asked and _limit.asked + SPARE * (seconds + saving) + LEAVING <= _limit.end


def signalled() -> bool:
    """Whether a signal has arrived, whatever the time."""
    return _asked


def asked_to_leave(saving: float = 0.0) -> bool:
    """Whether a request has arrived, or the time limit leaves no room for another round.

    ``saving``: seconds that the last checkpoint took, 0 if there was none.
    """
    if _limit is None:
        return _asked
    now = time.monotonic()
    _limit.slowest = max(_limit.slowest, now - _limit.asked)
    _limit.asked = now
    ahead = SPARE * (_limit.slowest + (saving or _limit.saving))
    return _asked or now + ahead + LEAVING > _limit.end


def _ask(number: int, frame: FrameType | None) -> None:
    global _asked
    del frame
    _asked = True
    if number == signal.SIGINT:
        os.write(2, b"leaving after a checkpoint; press Ctrl-C again to leave at once\n")
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise Interrupted("out of time; run again to go on after the last checkpoint")
