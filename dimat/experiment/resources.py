"""What a job will need: time and memory, from counted work and the measured throughput of devices.

`expected` is meant to be true. `needs` is for schedulers, which end a job that exceeds what it asked for, and
so is generous; each further attempt is given twice as much.
"""

from dataclasses import dataclass, field, replace
from functools import lru_cache

from dimat.experiment.config import Study
from dimat.experiment.fitting_cost import held
from dimat.experiment.runs import Pretrained, Run, Tuned
from dimat.experiment.throughput import Device, slowest
from dimat.experiment.work import Images, Work, cost_for, images_of, run_work, start_work
from dimat.merging.calibration.options import Calibration

SECONDS_OF_CUBE = 1e-10
"""Of an assignment of C channels, times C^3, on one core: 15 ms were measured for 512, 0.21 s for 2048."""
SECONDS_OF_MATCH = 1e-3
"""What is done once for every group of every pair of networks that are matched: diagnostics above all."""
SECONDS_OF_SCALING = 3e-8
"""Of an entry of a soft map, in which rows and columns are scaled once: two exponentials above all."""
SECONDS_OF_OPENING = 0.5
"""Building agents, reading their start, and writing what they recorded."""
DOUBLE = 2
"""A product in double precision takes as long as so many in float32, on CPUs and on GPUs for computing."""
BYTES_OF_PROCESS = {"cpu": 5e8, "cuda": 3.5e9}
"""Python and torch, by device; on a GPU with its libraries."""
COPIES = 8
"""Networks held of each agent: parameters, gradients, two moments, merged ones; 7.2 were measured."""
PIXELS = 3
"""How often images are held: decoded, as they were read, and copies of parts."""

GENEROUS = 3
"""Factor on expected seconds and bytes in what is asked of a scheduler."""
SECONDS_OF_START = 500
"""Added for schedulers: programs and data are read from a slow file system."""
BYTES_OF_SNAKEMAKE = 1e9
"""Added for schedulers: jobs of Slurm hold a Snakemake of their own."""
SHORT = 30
"""Minutes up to which a job is short: it is not worth a place of its own in a cluster's queue."""


@dataclass(frozen=True)
class Expected:
    """``seconds`` of a job, in all and up to its ``first`` checkpoint, and how many bytes it holds.

    ``on_gpu`` are bytes of a GPU's memory, ``state`` those of a checkpoint.
    """

    seconds: float
    first: float
    bytes: float
    on_gpu: float
    state: float


@dataclass(frozen=True)
class Needs:
    """``minutes`` and ``megabytes`` of a job."""

    minutes: int
    megabytes: int

    @property
    def short(self) -> bool:
        """Whether the job had better share one with others."""
        return self.minutes <= SHORT

    def on(self, attempt: int) -> "Needs":
        """Twice as much for each attempt after the first, but memory only so often that some node has it.

        A job that goes on from its checkpoint may need many, and is refused if it asks for more memory than
        there is.
        """
        return Needs(self.minutes * 2 ** (attempt - 1), self.megabytes * 2 ** min(attempt - 1, 2))


@dataclass(frozen=True)
class _Asked:
    """An experiment as the key of a cache: ids are equal where experiments are, and need no hashing."""

    kind: type[Pretrained]
    id: str
    experiment: Pretrained = field(compare=False)


def needs(experiment: Pretrained, study: Study) -> Needs:
    """What to ask for to make a start, to carry out a run, or all trials of a choice."""
    ranks = study.communication.name == "ranks"
    return _needs(_Asked(type(experiment), experiment.id, experiment), study.device, study.threads, ranks)


@lru_cache(maxsize=100_000)
def _needs(asked: _Asked, device: str, threads: int, ranks: bool) -> Needs:
    experiment = asked.experiment
    found = expected(
        experiment,
        slowest("cuda" if device == "cuda" else "cpu").with_threads(threads),
        processes=experiment.agents if ranks else 1,
    )
    return Needs(
        minutes=5 * -(-int(SECONDS_OF_START + GENEROUS * found.seconds) // 300),
        megabytes=100 * -(-int(GENEROUS * found.bytes + BYTES_OF_SNAKEMAKE) // 10**8),
    )


def expected(
    experiment: Pretrained, device: Device, images: Images | None = None, processes: int = 1
) -> Expected:
    """What it takes to make a start, to carry out a run, or all trials of a choice, on a ``device``.

    ``images`` are those of the data set, if it was read already.
    """
    images = images or images_of(experiment.data)
    whole, first = (
        run_work(experiment, images) if isinstance(experiment, Run) else start_work(experiment, images)
    )
    calibration = calibration_of(experiment)
    precision, merged = experiment.training.precision, calibration.precision
    trials = len(experiment.tuning.factors) if isinstance(experiment, Tuned) else 1
    cost = cost_for(experiment, images)
    networks = experiment.agents * cost.parameters
    looked = calibration.batch_size or experiment.training.batch_size
    batch = 2 * max(experiment.training.batch_size, looked) * cost.features
    if isinstance(experiment, Run) and calibration.repair == "least_squares":
        batch = max(batch, held(cost.fitted, looked))
    process = BYTES_OF_PROCESS["cpu" if device.threads else "cuda"]
    if device.threads:
        size = processes * (process + PIXELS * images.nbytes + batch) + COPIES * networks
        on_gpu = 0
    else:  # what is read and written passes through memory
        size = processes * (process + (PIXELS - 1) * images.nbytes) + 3 * networks
        on_gpu = processes * (images.nbytes + batch) + COPIES * networks
    return Expected(
        seconds=trials * (SECONDS_OF_OPENING + seconds_of(whole, precision, merged, device)),
        first=SECONDS_OF_OPENING + seconds_of(first, precision, merged, device),
        bytes=size,
        on_gpu=on_gpu,
        state=networks if isinstance(experiment, Run) else 3 * networks,
    )


def calibration_of(experiment: Pretrained) -> Calibration:
    """How merges look at images; the defaults where there are none."""
    return (isinstance(experiment, Run) and experiment.calibration) or Calibration()


def seconds_of(work: Work, precision: str, merged: str, device: Device) -> float:
    """How long work takes, where agents train in one ``precision`` and merge in another, ``merged``."""
    return (
        device.steps[precision].seconds(work.steps)
        + device.passes[precision].seconds(work.evaluated)
        + device.passes[merged].seconds(work.merged)
        + work.products / device.products
        + replace(device.passes["float32"], flops=device.products / DOUBLE).seconds(work.fitted)
        + work.cubes * SECONDS_OF_CUBE
        + work.matched * SECONDS_OF_MATCH
        + work.scaled * SECONDS_OF_SCALING
    )
