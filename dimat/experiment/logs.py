"""What runs record, round by round, for the dashboards of others: TensorBoard, Weights & Biases, Trackio.

None of them is needed, and none changes what is recorded. All that they write lies in the folder of
results, and nothing is sent anywhere.
"""

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any

from typing_extensions import override

from dimat.errors import InputError
from dimat.experiment.records import Measurement
from dimat.experiment.runs import Run

Note = Callable[[Sequence[Measurement]], None]
"""Takes what was measured at one stage of a round."""


class Kind(StrEnum):
    """Whose log is written."""

    wandb = "wandb"
    tensorboard = "tensorboard"
    trackio = "trackio"


class Sink(ABC):
    """A log of one run in a ``folder``."""

    @abstractmethod
    def write(self, values: Mapping[str, float], round: int) -> None:
        """Add numbers by name."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more will be written."""


class TensorBoard(Sink):
    """An event file in a folder for each run: `tensorboard --logdir FOLDER`."""

    def __init__(self, run: Run, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / run.id))

    @override
    def write(self, values: Mapping[str, float], round: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, round)
        self._writer.flush()

    @override
    def close(self) -> None:
        self._writer.close()


class Wandb(Sink):
    """A run of Weights & Biases that is kept offline: `wandb sync FOLDER/wandb/offline-run-*` sends it."""

    def __init__(self, run: Run, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for place in ("CONFIG", "CACHE", "DATA", "ARTIFACT"):  # else they lie at home
            os.environ[f"WANDB_{place}_DIR"] = str(folder.resolve() / place.lower())
        wandb = importlib.import_module("wandb")
        self._run = wandb.init(
            mode="offline", dir=str(folder), project="dimat", name=run.id, config=run.parameters()
        )

    @override
    def write(self, values: Mapping[str, float], round: int) -> None:
        self._run.log({**values, "round": round})

    @override
    def close(self) -> None:
        self._run.finish()


class Trackio(Sink):
    """A run of Trackio, on this machine: `TRACKIO_DIR=FOLDER trackio show`."""

    def __init__(self, run: Run, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["TRACKIO_DIR"] = str(folder.resolve())
        self._trackio = importlib.import_module("trackio")
        self._trackio.init(project="dimat", name=run.id, config=run.parameters(), embed=False)

    @override
    def write(self, values: Mapping[str, float], round: int) -> None:
        self._trackio.log(dict(values), step=round)

    @override
    def close(self) -> None:
        self._trackio.finish()


SINKS: dict[Kind, type[Any]] = {
    Kind.tensorboard: TensorBoard,
    Kind.wandb: Wandb,
    Kind.trackio: Trackio,
}


def check_installed(kind: Kind | None) -> None:
    """`InputError` if the package of a log is not there."""
    if kind is not None and find_spec(kind) is None:
        raise InputError(f"--log: {kind} is not installed, which this needs; pip install {kind}")


@contextmanager
def noted(kind: Kind | None, run: Run, folder: Path) -> Iterator[Note]:
    """Within it, what is measured of a ``run`` can be noted in a log of a ``kind`` below ``folder``.

    There is no log without a kind, nor before the first note: of several processes only one makes any.
    """
    sinks: list[Sink] = []

    def note(measurements: Sequence[Measurement]) -> None:
        if kind is None or not measurements:
            return
        if not sinks:
            sinks.append(SINKS[kind](run, folder / kind))
        for stage in dict.fromkeys((each.round, each.stage) for each in measurements):
            of_stage = [each for each in measurements if (each.round, each.stage) == stage]
            sinks[0].write(values_of(of_stage, run), stage[0])

    try:
        yield note
    finally:
        for sink in sinks:
            sink.close()


def values_of(measurements: Sequence[Measurement], run: Run) -> dict[str, float]:
    """The primary metric of each agent and as their mean, and how far agents are apart, by stage and name.

    The start counts as merged.
    """
    metric = run.task.metric.name
    stage = {"start": "merged"}.get(measurements[0].stage, measurements[0].stage)
    scores = {each.agent: each.value for each in measurements if each.metric == metric and each.part is None}
    found = {f"{stage}/{metric}": mean(scores.values())} if scores else {}
    found |= {f"{stage}/{metric}/agent {agent}": value for agent, value in scores.items()}
    apart = [each.value for each in measurements if each.metric == "disagreement"]
    return found | {f"{stage}/disagreement": value for value in apart}
