"""The command `dimat sweep`: whole studies without Snakemake."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from dimat.cli.arguments import DEFAULT_RESULTS, Configs, Log, Results, real, whole
from dimat.experiment.catalogue import read_studies
from dimat.experiment.interruption import leave_by, listen
from dimat.experiment.layout import Layout
from dimat.experiment.logs import check_installed

commands = typer.Typer()
Minutes = Annotated[
    float | None, real("Leave in time before so many minutes are over, counted from the start.", 0.1)
]
Processes = Annotated[int, whole("Jobs beside each other, each in a process of its own.", 1, 1024)]


@commands.command("sweep")
def sweep_studies(
    configs: Configs,
    results: Results = DEFAULT_RESULTS,
    minutes: Minutes = None,
    processes: Processes = 1,
    log: Log = None,
) -> None:
    """Carry out everything that is not done yet, up to the records, without Snakemake.

    For a machine with torch alone. Studies come in the order given, runs of each in the order of its file,
    first all settings with their first seed. Ctrl-C, a signal, or --minutes: what was done is saved, the exit
    code is 75; run again to go on. What epochs and rounds say is in results/shared/logs.
    """
    from dimat.experiment.sweep import sweep

    check_installed(log)
    listen()
    end = None if minutes is None else time.monotonic() - age() + 60 * minutes
    studies = [(study, Layout(results / study.name)) for study in read_studies(configs)]
    if processes == 1:
        leave_by(end)
    try:
        sweep(studies, processes, end, log)
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
