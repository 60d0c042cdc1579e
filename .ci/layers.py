"""Measure what each layer of dimat adds to an environment, and write it into the table of docs/installing.md.

    python .ci/layers.py dist/dimat-*.whl      # make layers

One layer comes after the other into one fresh environment, with the versions of constraints.txt; torch is
first and alone, as in the Makefile. Seconds are those of the CPU: they hang less on what else a machine does.
"""

import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "installing.md"
CONSTRAINTS = ROOT / "constraints.txt"
LAYERS = ("", "[pipeline]", "[audit]", "[docs]", "[dev]")


def held(folder: Path) -> tuple[int, int]:
    """Packages and bytes of an environment."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    packages = sum(path.match("*.dist-info/METADATA") for path in files)
    return packages, sum(path.stat().st_size for path in files)


def seconds() -> float:
    """Of the CPU, of all processes that this one has started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def measured(wheel: str) -> list[str]:
    """Lines of the table."""
    (torch,) = [line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch==")]
    rows = ["| | packages | MB | CPU seconds |", "| --- | --- | --- | --- |"]
    with TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        packages, size = held(Path(folder))
        wanted = {f"torch {torch.partition('==')[2]} for CPUs": torch}
        wanted |= {f"`dimat{layer}`": f"{wheel}{layer}" for layer in LAYERS}
        for name, what in wanted.items():
            start = seconds()
            subprocess.run([*pip, "-c", str(CONSTRAINTS), what], check=True)  # noqa: S603
            taken = seconds() - start
            more, larger = held(Path(folder))
            rows.append(f"| {name} | {more - packages} | {(larger - size) / 1e6:.0f} | {taken:.0f} |")
            print(rows[-1], flush=True)
            packages, size = more, larger
    return rows


def main(wheel: str) -> None:
    """Measure, and put the table where the last one was."""
    table = "\n".join(measured(wheel))
    PAGE.write_text(re.sub(r"^\|.*\|$(\n\|.*\|$)*", lambda _: table, PAGE.read_text(), count=1, flags=re.M))


if __name__ == "__main__":
    main(sys.argv[1])
