"""Requests to leave: a cluster signals a job before it ends it.

SIGTERM and SIGUSR1, from Slurm ahead of a time limit or a preemption, SIGHUP when a terminal or a connection
is closed, and SIGINT (Ctrl-C) do not end a job at once: it writes a checkpoint at the next moment at which it
can, then raises `Interrupted`. A second Ctrl-C does not wait.
"""

import os
import signal
from types import FrameType

EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong, run the same command again."""

_asked = False


class Interrupted(Exception):
    """The job was asked to leave, and its checkpoint is written."""


def listen() -> None:
    """Take these signals as requests from now on."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT):
        ignored = signal.getsignal(number) is signal.SIG_IGN
        if ignored and number in (signal.SIGHUP, signal.SIGINT):
            continue  # as nohup and a shell's background ask for; Snakemake ignores SIGUSR1 for itself alone
        signal.signal(number, _ask)


def asked_to_leave() -> bool:
    """Whether such a signal has arrived."""
    return _asked


def _ask(number: int, frame: FrameType | None) -> None:
    global _asked
    del frame
    _asked = True
    if number == signal.SIGINT:
        os.write(2, b"leaving after a checkpoint; press Ctrl-C again to leave at once\n")
        signal.signal(signal.SIGINT, signal.default_int_handler)
