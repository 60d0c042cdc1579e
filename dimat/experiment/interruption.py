"""Requests to leave: a cluster signals a job before it ends it.

SIGTERM and SIGUSR1, from Slurm ahead of a time limit or a preemption, or from a user, do not end a job at
once: it writes a checkpoint at the next moment at which it can, then raises `Interrupted`.
"""

import signal
from types import FrameType

EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong, run the same command again."""

_asked = False


class Interrupted(Exception):
    """The job was asked to leave, and its checkpoint is written."""


def listen() -> None:
    """Take SIGTERM and SIGUSR1 as requests from now on."""
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _ask)


def asked_to_leave() -> bool:
    """Whether such a signal has arrived."""
    return _asked


def _ask(number: int, frame: FrameType | None) -> None:
    global _asked
    del number, frame
    _asked = True
