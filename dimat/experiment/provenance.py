"""What numbers may depend on besides the experiment: device, threads, versions; and what they cost."""

import hashlib
import os
import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy
import torch

import dimat

PROJECT = Path(dimat.__file__).parents[1]
"""The checkout, or the folder of installed packages."""


def machine(device: torch.device) -> dict[str, Any]:
    """Device, threads and versions of this process."""
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "deterministic": device.type == "cpu" or torch.are_deterministic_algorithms_enabled(),
        "versions": {
            "dimat": dimat.__version__,
            "code": code("dimat"),
            "commit": commit(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
        },
    }


def with_machine(
    made_on: list[dict[str, Any]], first: int, device: torch.device, seconds: float = 0.0
) -> list[dict[str, Any]]:
    """The machines of a job so far, and this one from round or epoch ``first`` on, if it is another.

    ``seconds`` is what the job took before.
    """
    now = machine(device)
    when = {"first": first, "after_seconds": seconds}
    if made_on and {**made_on[-1], **when} == {**now, **when}:
        return made_on
    return [*made_on, {**when, **now}]


def now() -> str:
    """The date and time of the clock, in UTC and whole seconds, as ISO 8601 writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def device_name(device: torch.device) -> str:
    """The GPU's or the processor's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"


def peak_memory(device: torch.device) -> int:
    """Largest memory in bytes that this process held: on the GPU if it used one, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def made_by(*packages: str) -> str:
    """The version in words, with the hash of the ``packages`` that made something."""
    return f"dimat {dimat.__version__}, commit {commit() or 'unknown'}, code {code(*packages)}"


@cache
def code(*packages: str) -> str:
    """Twelve digits of the SHA-256 over the source files of ``packages``, whatever git knows of them.

    Empty lines and those of comments do not count.
    """
    digest = hashlib.sha256()
    for package in packages:
        folder = _folder(package)
        for file in sorted(folder.rglob("*")):
            if file.suffix in (".py", ".typ", ".yaml", ".csv") and file.is_file():
                digest.update(f"{file.relative_to(folder.parent).as_posix()} ".encode())
                lines = (line.strip() for line in file.read_bytes().splitlines())
                digest.update(b"\n".join(line for line in lines if line and not line.startswith(b"#")))
    return digest.hexdigest()[:12]


def _folder(package: str) -> Path:
    """Where a package is: in a wheel, those above the library lie elsewhere than in a checkout."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is no package", name=package)
    return Path(found.submodule_search_locations[0])


@cache
def commit() -> str | None:
    """The git commit of the source, with `-dirty` if code was changed or added; `None` outside a checkout.

    A repository around the project, or one that the environment names, is not the project's.
    """
    if _git("rev-parse", "--show-toplevel") != str(PROJECT.resolve()):
        return None
    found = _git("rev-parse", "--short=12", "HEAD")
    if not found:
        return None
    changed = _git("status", "--porcelain", "--", "dimat", "theory", "paper", "workflow", "Snakefile")
    return f"{found}-dirty" if changed else found


def _git(*arguments: str) -> str | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            cwd=PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
