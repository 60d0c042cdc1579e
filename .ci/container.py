"""Carry out the steps of Containerfile in an empty folder, without a container.

    python .ci/container.py [FOLDER]       # make test-container

What `apt-get` would install must be there. The last step, `make reproduce`, runs a small study instead of the
default one. Arguments of the build are taken from the environment: WHEELS=FOLDER.
"""

import fnmatch
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
STUDY = """\
name: small
data: {name: digits, train_limit: 200, test_limit: 100}
model: {name: plain, widths: [4, 6]}
agents: 3
graph: ring
partition: iid
method: [dimat, wa]
seeds: [0]
training: {pretrain_epochs: 1, rounds: 2, epochs: 1}
"""


def steps(text: str) -> Iterator[tuple[str, str]]:
    """Instructions and their words, lines that go on joined."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            instruction, _, words = line.partition(" ")
            yield instruction, " ".join(words.split())


def ignored(folder: str, names: list[str]) -> set[str]:
    """What .containerignore leaves out of a folder."""
    left_out = set()
    for pattern in (ROOT / ".containerignore").read_text().split():
        anywhere = pattern.removeprefix("**/")
        if anywhere != pattern or Path(folder) == ROOT:
            left_out |= set(fnmatch.filter(names, anywhere))
    return left_out


def copy(words: str, work: Path) -> None:
    """COPY of one file or folder."""
    source, target = words.split()
    if (ROOT / source).is_dir():
        shutil.copytree(ROOT / source, work / target, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    else:
        shutil.copy(ROOT / source, work / target)


def carry_out(work: Path) -> None:
    """All steps, in a folder that takes the place of WORKDIR."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for instruction, words in steps((ROOT / "Containerfile").read_text()):
        start = time.monotonic()
        if instruction == "FROM":
            version = words.split(":")[1].split("-")[0]
            if version != f"{sys.version_info.major}.{sys.version_info.minor}":
                raise SystemExit(f"{words}: expected to run with Python {version}")
        elif instruction == "ARG":
            name, _, value = words.partition("=")
            environment.setdefault(name, value)
        elif instruction == "WORKDIR":
            pass
        elif instruction == "COPY":
            copy(words, work)
        elif instruction == "RUN" and words.startswith("apt-get"):
            wanted = [word for word in shlex.split(words.split("&&")[1])[2:] if not word.startswith("-")]
            if missing := [name for name in wanted if shutil.which(name) is None]:
                raise SystemExit(f"{', '.join(missing)}: not on this machine")
        elif instruction == "RUN":
            subprocess.run(["sh", "-ec", words], cwd=work, env=environment, check=True)  # noqa: S603, S607
        elif instruction == "CMD":
            (work / "small.yaml").write_text(STUDY)
            command = [*json.loads(words), "STUDY=small.yaml"]
            subprocess.run(command, cwd=work, env=environment, check=True)  # noqa: S603
        else:
            raise SystemExit(f"{instruction}: this program knows no such instruction")
        print(f"{time.monotonic() - start:5.0f} s  {instruction} {words}", flush=True)
    (paper,) = work.glob("results/small/dimat.pdf")
    print(f"{paper.name}: {paper.stat().st_size} bytes")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir()
        carry_out(Path(sys.argv[1]))
    else:
        with TemporaryDirectory() as folder:
            carry_out(Path(folder))
