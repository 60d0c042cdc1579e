"""A copy of the project in which Snakemake runs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from snakemake.cli import main as snakemake
from support.forked import forked

PROJECT = Path(__file__).parents[2]


FOLDERS = ("config", "dimat", "paper", "profiles", "theory", "workflow", "Snakefile", "environment.yml")


STUDY = {
    "name": "small",
    "data": {"name": "digits", "train_limit": 200, "test_limit": 100},
    "model": {"name": "plain", "widths": [4, 6]},
    "partition": "iid",
    "graph": "ring",
    "agents": 3,
    "method": ["dimat", "pooled"],
    "seeds": [0],
    "training": {"pretrain_epochs": 1, "rounds": 2, "epochs": 1},
}


class Pipeline:
    """A copy of the project in which Snakemake runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in FOLDERS:
            source = PROJECT / name
            if source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / name, symlinks=True, ignore=ignore)
            else:
                shutil.copy(source, folder / name)
        self.configure(STUDY)

    def configure(self, study: dict) -> None:
        (self.folder / "small.yaml").write_text(yaml.safe_dump(study))

    def __call__(self, *options: str, edited: bool = False) -> subprocess.CompletedProcess:
        """Run Snakemake; where its copy of the code is ``edited``, in a process that has imported nothing."""
        command = ["snakemake", "--cores", "2", "--configfile", "small.yaml", *options]
        if not edited:
            return forked(snakemake, command, self.folder)
        return subprocess.run(
            [sys.executable, "-m", *command], cwd=self.folder, capture_output=True, text=True
        )

    def planned(self, *options: str, edited: bool = False) -> dict[str, int]:
        """How many jobs of each rule Snakemake would run now."""
        plan = self("--dry-run", *options, edited=edited)
        assert plan.returncode == 0, plan.stderr
        table = re.findall(r"^ (\w+) +(\d+) *$", plan.stdout + plan.stderr, re.M)
        return {rule: int(count) for rule, count in table if rule != "total"}

    @property
    def results(self) -> Path:
        return self.folder / "results" / "small"
