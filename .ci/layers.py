"""Print what each layer of dimat takes, as a table: packages, MB and seconds of the CPU.

    python .ci/layers.py dist/dimat-*.whl

Each is in a fresh environment. torch comes first and alone, as in the Makefile, with the versions of
constraints.txt.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
LAYERS = ("", "[pipeline]", "[audit]", "[pipeline,audit]", "[dev]")


class Environment:
    """A fresh one, in a folder."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True)
        self.folder = folder
        self.before = self.held()

    def install(self, *what: str) -> float:
        """Seconds of the CPU that it takes, which do not hang on how busy the machine is."""
        before = os.times()
        pip = [self.folder / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", *what], check=True)  # noqa: S603
        after = os.times()
        return sum(after[2:4]) - sum(before[2:4])

    def held(self) -> tuple[int, int]:
        """Packages and bytes."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink()]
        packages = sum(path.match("*.dist-info/METADATA") for path in files)
        return packages, sum(path.stat().st_size for path in files)

    def row(self, what: str, seconds: float) -> str:
        """A line of the table: what it holds beyond an empty one."""
        packages, size = (now - before for now, before in zip(self.held(), self.before, strict=True))
        return f"| {what} | {packages} | {size / 1e6:.0f} | {seconds:.0f} |"


def main(wheel: str) -> None:
    """Install each layer of a wheel."""
    print("| in the environment | packages | MB | CPU seconds |\n| --- | --- | --- | --- |", flush=True)
    (torch,) = [line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch==")]
    for layer in LAYERS:
        with TemporaryDirectory() as folder:
            environment = Environment(Path(folder))
            seconds = environment.install(torch)
            if not layer:
                print(environment.row(f"{torch} for CPUs and what it needs", seconds), flush=True)
            seconds = environment.install("-c", str(CONSTRAINTS), f"{wheel}{layer}")
            print(environment.row(f"`dimat{layer}`, with torch; seconds without", seconds), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
