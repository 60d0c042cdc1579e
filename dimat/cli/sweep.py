"""The command `dimat sweep`: a whole study in one process."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from dimat.cli.arguments import DEFAULT_RESULTS, Config, Results, open_study, real
from dimat.experiment.interruption import leave_by, listen

commands = typer.Typer()
Minutes = Annotated[
    float | None, real("Leave in time before so many minutes are over, counted from the start.", 0.1)
]


@commands.command("sweep")
def sweep_study(config: Config, results: Results = DEFAULT_RESULTS, minutes: Minutes = None) -> None:
    """Carry out everything that is not done yet, up to the records, in this process and without Snakemake.

    For a machine with torch alone. Runs come in the order of the file, first all settings with their first
    seed. Ctrl-C, a signal, or --minutes: what was done is saved, the exit code is 75; run again to go on.
    What epochs and rounds say is in results/NAME/logs and results/shared/logs.
    """
    from dimat.experiment.sweep import sweep

    listen()
    if minutes is not None:
        leave_by(time.monotonic() - age() + 60 * minutes)
    try:
        sweep(*open_study(config, results))
    finally:
        leave_by(None)


def age() -> float:
    """Seconds since this process was started (Linux only, else 0): importing libraries takes a while."""
    try:
        started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):
        return 0.0
    return max(0.0, since_boot - int(started) / os.sysconf("SC_CLK_TCK"))
