"""What a cluster's Slurm can be asked."""

import re
import subprocess


def status_command() -> str:
    """The command that tells what became of a job: sacct where Slurm keeps accounts, else squeue.

    Without slurmdbd, sacct never answers; squeue forgets jobs after MinJobAge, 5 minutes by default.
    """
    try:
        shown = subprocess.run(
            ["scontrol", "show", "config"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return "squeue"
    return "sacct" if re.search(r"^AccountingStorageType\s*=\s*\S*slurmdbd", shown, re.M) else "squeue"
