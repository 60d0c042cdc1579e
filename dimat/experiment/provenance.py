"""What numbers may depend on besides the experiment: device, threads, versions; and what they cost."""

import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import torch

import dimat


def machine(device: torch.device) -> dict[str, Any]:
    """Device, threads, versions and peak memory of this process."""
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "peak_memory_bytes": peak_memory(device),
        "versions": {
            "dimat": dimat.__version__,
            "commit": commit(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
        },
    }


def device_name(device: torch.device) -> str:
    """The GPU's or the processor's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"


def peak_memory(device: torch.device) -> int:
    """Largest memory in bytes that this process held: on the GPU if it used one, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def commit() -> str | None:
    """The git commit of the source, with `-dirty` if it was changed; `None` outside a checkout."""
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
