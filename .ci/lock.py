"""Write what is installed, from the requirements of pyproject.toml: constraints.txt and requirements/*.txt.

    python .ci/lock.py [--upgrade]         # make lock

constraints.txt has all extras, for any Python and platform, and leaves open which build of torch. A lock has
the extras of the pipeline with hashes, for Linux on x86-64 with Python 3.11: cpu.txt with torch's wheel for
CPUs, which is not on PyPI, and cuda.txt with PyPI's. Versions that are there already stay, unless --upgrade.
It needs uv.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEADS = {
    "constraints.txt": ("pip install -c constraints.txt -e '.[dev]'",),
    "requirements/cpu.txt": (
        "Linux on x86-64, Python 3.11, torch for CPUs:",
        "pip install --require-hashes -r requirements/cpu.txt --find-links ADDRESS",
        "pip install --no-deps .",
    ),
    "requirements/cuda.txt": (
        "Linux on x86-64, Python 3.11, torch for NVIDIA's GPUs:",
        "pip install --require-hashes -r requirements/cuda.txt",
        "pip install --no-deps .",
    ),
}
OWNED = ("cuda-", "nvidia-", "triton")
"""Packages of which torch itself says the version, by the beginnings of their names."""
LOCK = ("--extra", "pipeline", "--extra", "audit", "--generate-hashes", "-c", "constraints.txt")
PLATFORM = ("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28")


def compiled(*options: str) -> str:
    """What uv finds for pyproject.toml."""
    command = ["uv", "pip", "compile", "pyproject.toml", "--quiet", "--no-annotate", "--no-header", *options]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    return done.stdout


def write(name: str, content: str) -> None:
    """Write a file, below what says where it comes from and how it is used."""
    head = "".join(f"# {line}\n" for line in (*HEADS[name], "Written by .ci/lock.py from pyproject.toml."))
    (ROOT / name).parent.mkdir(exist_ok=True)
    (ROOT / name).write_text(head + content)


def main() -> None:
    """All three; locks have the versions of constraints.txt."""
    pinned = () if "--upgrade" in sys.argv[1:] else ("-c", "constraints.txt")
    found = compiled("--all-extras", "--universal", *pinned)
    kept = [line for line in found.splitlines(keepends=True) if not line.startswith(OWNED)]
    write("constraints.txt", "".join(kept))
    wheels = os.environ.get("PIP_FIND_LINKS")  # where torch's wheels for CPUs are, if not in the index
    where = ("--find-links", wheels) if wheels else ()
    write("requirements/cpu.txt", compiled(*LOCK, *PLATFORM, *where))
    write("requirements/cuda.txt", compiled(*LOCK, *PLATFORM))


if __name__ == "__main__":
    main()
