"""Checkpoints: whole or absent, checked when read, bound to the experiment that wrote them."""

import time
from pathlib import Path
from typing import Any

from torch import Tensor

from dimat.errors import InputError
from dimat.io.files import read_tensors, remove, write_tensors


class Checkpoint:
    """The checkpoint file of one start or run.

    ``experiment`` describes it in JSON terms, ``made_from`` holds the SHA-256 of what it reads; a new
    checkpoint is due when the last is ``seconds`` old.
    """

    def __init__(
        self, path: Path, experiment: dict[str, Any], made_from: dict[str, str], seconds: float
    ) -> None:
        self.path = path
        self.experiment = experiment
        self.made_from = made_from
        self.seconds = seconds
        self.took = 0.0
        """Seconds that it took to write the last one, if this process has written any."""
        self._last = time.monotonic()

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and progress of the interrupted job; `None` if there is nothing to resume."""
        if not self.path.exists():
            return None
        try:
            tensors, about = read_tensors(self.path)
        except InputError:
            if self.path.exists():
                raise
            return None  # another process has just finished the same start
        if not isinstance(about, dict) or about.get("experiment") != self.experiment:
            raise InputError(f"{self.path}: a checkpoint of another experiment; delete it and run again")
        if about["made_from"] != self.made_from:
            raise InputError(
                f"{self.path}: a checkpoint on other images or networks; delete it and run again"
            )
        return tensors, about["progress"]

    def due(self) -> bool:
        """Whether the last checkpoint is old enough to be replaced."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        """Replace the checkpoint."""
        about = {"experiment": self.experiment, "made_from": self.made_from, "progress": progress}
        began = time.monotonic()
        write_tensors(self.path, tensors, about)
        self._last = time.monotonic()
        self.took = self._last - began

    def finish(self, kept: Path | None = None) -> None:
        """The job is done: nothing is left to resume. What there is may be ``kept`` elsewhere."""
        if kept is not None and self.path.exists():
            self.path.replace(kept)
        remove(self.path)
