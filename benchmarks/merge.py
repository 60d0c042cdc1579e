"""Seconds and memory of one merge, measured in processes of their own."""

import math
from dataclasses import dataclass, replace
from itertools import chain

import torch

from benchmarks.measuring import Growth, clock, in_fresh_process
from benchmarks.random_networks import random_networks
from benchmarks.reference import merge_naively
from dimat.agents.networks import Networks
from dimat.agents.training import Training
from dimat.communication.in_process import InProcess
from dimat.data.augmentation import Augmentation
from dimat.experiment.devices import prepare_device
from dimat.merging.averaging.options import Averaging
from dimat.merging.calibration.images import visible_images
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching
from dimat.merging.merge import merge_with_neighbours
from dimat.merging.options import Merging
from dimat.models import ResNet20, Vgg16
from dimat.models.passes import Pass
from dimat.topology import Complete, Ring

MODELS = {"resnet20": ResNet20(width=1), "resnet20x8": ResNet20(width=8), "vgg16": Vgg16()}
GRAPHS = {"ring": Ring(), "complete": Complete()}
CALIBRATION = Calibration()
LOW = Calibration(precision="bfloat16")
MERGES = {
    "merge": Merging(Matching(), CALIBRATION),
    "merge, 2 passes": Merging(Matching(passes=2), CALIBRATION),
}
LOW_MERGES = {
    "bfloat16": Merging(Matching(), LOW),
    "bfloat16, 2 passes": Merging(Matching(passes=2), LOW),
}
BARE, REFERENCE = "bare passes", "reference"


@dataclass(frozen=True)
class MergeCase:
    """What is merged, on which images, and on what."""

    model: str
    graph: str
    agents: int
    images: int
    size: int
    batch: int
    threads: int
    device: str


@dataclass(frozen=True)
class MergeRow:
    """One line of the table: ``ratio`` is to the bare passes, ``mebibytes`` what memory grew by at most."""

    case: MergeCase
    method: str
    seconds: float
    ratio: float
    mebibytes: float


def measure(case: MergeCase, repeats: int, low: bool, reference: bool) -> list[MergeRow]:
    """Every method on the same networks and images.

    Memory does not depend on the number of images, so it is measured over two batches.
    """
    merges = [*MERGES, *(LOW_MERGES if low else [])]
    methods = [BARE, *merges, *([REFERENCE] if reference else [])]
    seconds = in_fresh_process(time_methods, case, repeats, merges, reference)
    small = replace(case, images=max(2 * case.batch, 2 * case.agents))
    return [
        MergeRow(
            case,
            method,
            seconds[method],
            seconds[method] / seconds[BARE],
            in_fresh_process(memory_of, small, method) / 2**20,
        )
        for method in methods
    ]


def time_methods(case: MergeCase, repeats: int, merges: list[str], reference: bool) -> dict[str, float]:
    """Seconds of each method, the least of ``repeats``; bare passes run in between, as machines drift."""
    rounds = chain(
        *([method for merge in merges for method in (BARE, merge)] for _ in range(repeats)), [BARE]
    )
    networks, communicator = build(case)
    warm_up(case)
    least: dict[str, float] = {}
    for method in [*rounds, *([REFERENCE] if reference else [])]:
        started = clock(networks.device)
        run(method, networks, communicator)
        least[method] = min(clock(networks.device) - started, least.get(method, math.inf))
    return least


def memory_of(case: MergeCase, method: str) -> int:
    """Bytes of memory that a method takes at most, beyond the networks and images."""
    networks, communicator = build(case)
    warm_up(replace(case, images=4, batch=2, agents=3))
    growth = Growth(networks.device)
    run(method, networks, communicator)
    return growth.peak()


def build(case: MergeCase) -> tuple[Networks, InProcess]:
    """Random networks with random images, and the links between them."""
    torch.set_num_threads(case.threads)
    prepare_device(torch.device(case.device), deterministic=True)
    networks = random_networks(
        MODELS[case.model],
        case.agents,
        case.images,
        case.size,
        torch.device(case.device),
        Training(batch_size=case.batch),
        Augmentation(flip=False, crop=0),
    )
    assert networks.symmetry  # traced before anything is timed
    return networks, InProcess(GRAPHS[case.graph].mixing_matrix(case.agents))


def warm_up(case: MergeCase) -> None:
    """Let libraries load and choose their kernels, so that the first method does not pay for it."""
    networks, communicator = build(replace(case, agents=3, images=max(2 * case.batch, 6)))
    run("merge", networks, communicator)


def run(method: str, networks: Networks, communicator: InProcess) -> None:
    """Carry out one method once; networks change, but not how long the next takes."""
    images = visible_images(networks, communicator, CALIBRATION, None, round=1)
    if method == BARE:
        bare_passes(networks, images)
    elif method == REFERENCE:
        merge_naively(networks, communicator, images)
    else:
        merge_with_neighbours(networks, communicator, (MERGES | LOW_MERGES)[method], Averaging(), round=1)


def bare_passes(networks: Networks, images: Pass) -> None:
    """What a merge cannot do without: recalibrate, look at features, recalibrate, and nothing else."""
    with torch.no_grad():
        for model in networks.models:
            for training in (True, False, True):
                model.train(training)
                for batch in images():
                    model(batch)
