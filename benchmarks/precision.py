"""Whether merges in low precision match as double precision does, on networks trained apart."""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch

from dimat.agents.networks import Networks
from dimat.agents.training import Training
from dimat.arithmetic import Precision, arithmetic
from dimat.communication.in_process import InProcess
from dimat.data import AnyDataSet, DataFolders
from dimat.data.augmentation import Augmentation
from dimat.data.partitions import Iid
from dimat.merging.averaging.options import Averaging
from dimat.merging.calibration.images import visible_images
from dimat.merging.calibration.options import Calibration
from dimat.merging.calibration.recalibration import recalibrate
from dimat.merging.matching.assignment import best_permutation
from dimat.merging.matching.options import Matching
from dimat.merging.matching.statistics import correlations
from dimat.merging.merge import merge_with_neighbours
from dimat.merging.options import Merging
from dimat.models import Plain, ResNet20, Vgg16
from dimat.randomness import Randomness
from dimat.tasks import Classification
from dimat.tasks.images import ImageTask
from dimat.topology import Ring

MODELS = {"plain": Plain(), "resnet20": ResNet20(width=1), "vgg16": Vgg16()}
FLOAT64 = "float64"
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


@dataclass(frozen=True)
class PrecisionCase:
    """What is merged: networks of a ``model``, each trained for some ``epochs`` on its share of ``data``.

    At most ``images`` are trained on and looked at.
    """

    model: str
    data: str
    agents: int
    images: int
    epochs: int
    threads: int
    device: str


@dataclass(frozen=True)
class PrecisionRow:
    """One line of the table; see the page of benchmarks for ``same`` and ``lost``."""

    case: PrecisionCase
    precision: str
    same: float
    lost: float
    accuracy: float | None


def measure(case: PrecisionCase, data: AnyDataSet, downloads: Path) -> list[PrecisionRow]:
    """Assignments in every precision, and the accuracy of agents merged in it."""
    torch.set_num_threads(case.threads)
    networks = trained(case, data, downloads)
    exact = scores(networks, "float32", torch.float64)
    rows = [PrecisionRow(case, FLOAT64, 1.0, 0.0, None)]
    for precision in PRECISIONS:
        found = scores(networks, precision, torch.float32)
        same, lost, channels = 0, 0.0, 0
        for pair, by_group in exact.items():
            for group, expected in by_group.items():
                places = torch.arange(len(expected))
                best, other = best_permutation(expected), best_permutation(found[pair][group])
                same += int((best == other).sum())
                lost += float(expected[places, best].sum() - expected[places, other].sum())
                channels += len(expected)
        merged = merged_accuracy(copy.deepcopy(networks), precision)
        rows.append(PrecisionRow(case, precision, same / channels, lost / channels, merged))
    return rows


def trained(case: PrecisionCase, data: AnyDataSet, downloads: Path) -> Networks:
    """Agents that learnt apart."""
    images = data.prepared(DataFolders.from_environment(downloads)).to(torch.device(case.device))
    randomness = Randomness("benchmark", 0)
    labels = images.train_labels.cpu().numpy()
    shares = Iid().shares(labels, case.agents, randomness.numpy("partition"))
    training = Training(pretrain_epochs=case.epochs)
    task = ImageTask(
        Classification(),
        MODELS[case.model],
        images,
        shares,
        Augmentation(flip=False, crop=0),
        randomness,
        batch_size=100,
    )
    networks = Networks(task, training, randomness)
    for epoch in range(case.epochs):
        networks.pretrain(epoch)
    return networks


def scores(
    networks: Networks, precision: Precision, dtype: torch.dtype
) -> dict[tuple[int, int], dict[str, torch.Tensor]]:
    """Correlations of neighbours on a ring, after recalibration in the same arithmetic."""
    models = {agent: copy.deepcopy(model).to(dtype) for agent, model in enumerate(networks.models)}
    communicator = InProcess(Ring().mixing_matrix(networks.agents))
    images = visible_images(networks, communicator, Calibration(), None, round=1)
    with arithmetic(networks.device, precision):
        for model in models.values():
            recalibrate(model, (batch.to(dtype) for batch in images()))
        batches = (batch.to(dtype) for batch in images())
        return correlations(models, networks.symmetry, list(communicator.edges()), batches)


def merged_accuracy(networks: Networks, precision: Precision) -> float:
    """Mean accuracy of agents after one merge on a ring in ``precision``; networks change."""
    communicator = InProcess(Ring().mixing_matrix(networks.agents))
    merging = Merging(Matching(), Calibration(precision=precision))
    merge_with_neighbours(networks, communicator, merging, Averaging(), round=1)
    accuracies = [networks.evaluate(row)[networks.task.metric.name] for row in range(networks.agents)]
    return sum(accuracies) / len(accuracies)
