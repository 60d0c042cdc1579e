"""A study that takes seconds, its commands in processes, and what must be the same after an accident."""

import functools
import json
import multiprocessing
import os
import shutil
import signal
import sys
from multiprocessing import forkserver

from support.small import SMALL

from dimat.experiment.layout import Layout
from dimat.experiment.reading import parse_study
from dimat.io.files import read_tensors, write_checked

STUDY = SMALL | {
    "data": {"name": "digits", "train_limit": 60, "test_limit": 30},
    "model": {"name": "plain", "widths": [2, 3]},
    "method": ["dimat", "dpsgd"],
    "training": {"pretrain_epochs": 3, "rounds": 3, "epochs": 1, "batch_size": 10},
    "tuning": {"factors": [0.5, 1.0]},
    "keep_checkpoints": True,
}
TRAINING = ("prepare", "partition", "pretrain", "tune", "train", "collect")
STEPS = (*TRAINING, "holonomy", "judge", "figure", "table", "pdf")
DIFFERENT_EVERY_TIME = ("seconds", "resumed", "peak_memory_bytes", "sha256", "made_on", "began", "ended")
"""Keys of provenance that say when a run was carried out, and what it cost."""


def write_audit(layout: Layout) -> None:
    """An audit.csv with what the paper shows; a real one takes a minute."""
    write_checked(layout.audit, short_audit())


@functools.cache
def short_audit() -> bytes:
    from theory.gap.rows import gap_rows
    from theory.report import audit_csv
    from theory.rows import Row

    rows = [
        Row(claim, "gradient", "E |grad|^2", "ring", 5, 100, 0.5, 0.4, 0.6, 1.5, 0.01, 16, problem="p")
        for claim in ("convergence", "disagreement")
    ]
    rows += gap_rows()
    return audit_csv(rows).encode()


def die_in_write(number):
    """This process will be killed in its so manieth write of a file, when half of it is on the disk."""
    fsync, left = os.fsync, number

    def die(file):
        nonlocal left
        left -= 1
        if left == 0:
            os.ftruncate(file, os.fstat(file).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(file)

    os.fsync = die


def call(arguments, folder, fatal_write):
    """One command in this process, with its output in the file ``log``."""
    die_in_write(fatal_write)
    os.chdir(folder)
    output = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    from dimat.cli.main import main

    sys.argv = ["dimat", *map(str, arguments)]
    main()


class Study:
    """The small study in a folder; its commands are forked from a process that has imported everything."""

    def __init__(self, folder, **changes):
        self.folder = folder
        self.study = parse_study(STUDY | changes, "study")
        self.layout = Layout(folder / "results" / self.study.name)
        folder.mkdir(exist_ok=True)
        (folder / "study.json").write_text(json.dumps(STUDY | changes))
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(
            ["dimat.cli.main", "paper.commands", "paper.pdf", "theory.commands", "sklearn.datasets"]
        )
        forkserver.ensure_running()  # here, where the program is found, whatever folder tests go to

    def start(self, command, *options, fatal_write=0):
        """Start a command; the process is not waited for. It may be killed in a write."""
        config = () if command == "audit" else ("study.json",)
        process = self._processes.Process(
            target=call, args=((command, *config, *options), self.folder, fatal_write)
        )
        process.start()
        return process

    def __call__(self, command, *options):
        """Exit code of a command, and what it printed."""
        process = self.start(command, *options)
        process.join()
        return process.exitcode, (self.folder / "log").read_text(errors="replace")

    def contents(self):
        """All results by name, but for what they cost; temporary files and checkpoints among them."""
        root = self.layout.results
        return {
            path.relative_to(root).as_posix(): comparable(path) for path in root.rglob("*") if path.is_file()
        }

    def temporary(self):
        """What an interrupted job leaves until it is started again."""
        files = self.layout.results.rglob("*")
        return [path for path in files if path.suffix == ".tmp" or path.parent.name == "checkpoints"]

    def clear(self):
        """Remove all results but the audit, which these commands only read."""
        shutil.rmtree(self.layout.results, ignore_errors=True)
        write_audit(self.layout)


def comparable(path):
    """The content of a file without what is different every time."""
    if path.name in ("run.json", "provenance.json"):
        content = json.loads(path.read_bytes())
        for part in (content, *content.get("by_run", {}).values()):
            for key in DIFFERENT_EVERY_TIME:
                part.pop(key, None)
        return content
    if path.name == "last_round.safetensors":
        tensors, about = read_tensors(path)
        progress = {key: value for key, value in about["progress"].items() if key not in DIFFERENT_EVERY_TIME}
        return {name: tensor.tolist() for name, tensor in tensors.items()}, about | {"progress": progress}
    if path.name.removesuffix(".sha256") == "dimat.pdf":  # prints what the study cost
        return len(path.read_bytes()) > 0
    if path.suffix == ".sha256":  # names its sources, of which some say what a run cost
        return [line for line in path.read_text().splitlines() if line.endswith(path.stem)]
    return path.read_bytes()
