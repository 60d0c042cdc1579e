"""What a job will need: time and memory, estimated from the experiment, for schedulers that must be told.

Estimates are generous, as a job that exceeds them is ended; each further attempt is given twice as much. They
count operations and bytes of the network, the images and the rounds; nothing is read or trained.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from typing import cast

import torch
from torch import Tensor, nn

from dimat.experiment.config import Pretrained, Run, Study, Tuned
from dimat.models import AnyModel

FLOPS_PER_THREAD = 1e10
"""Operations in a second of one CPU thread; 7e10 were measured with ResNet-20."""
FLOPS_OF_GPU = 5e12
"""Those of a GPU, of which small networks and batches use a small part."""
SECONDS_OF_STEP = 0.005
"""What a batch takes however small the network."""
SECONDS_OF_START = 500
"""Reading programs and data from a slow file system."""
BYTES_OF_PROCESS = 2.5e9
"""Python, torch and Snakemake."""
COPIES = 12
"""Networks held of each agent: parameters, gradients, two moments, merged ones; 7.2 were measured."""
SHORT = 30
"""Minutes up to which a job is short: it is not worth a place of its own in a cluster's queue."""


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
        """Twice as much for each attempt after the first."""
        return Needs(self.minutes * 2 ** (attempt - 1), self.megabytes * 2 ** (attempt - 1))


@dataclass(frozen=True)
class Cost:
    """Of one image in a network's forward pass: operations, bytes of features; and bytes of parameters."""

    operations: int
    features: int
    parameters: int


def needs(experiment: Pretrained, study: Study) -> Needs:
    """What it takes to make a start, to carry out a run, or all trials of a choice."""
    images, channels, size = experiment.data.extent
    images = min(images, experiment.data.train_limit or images)
    size = experiment.data.size or size
    cost = cost_of(cast(Hashable, experiment.model), channels, size)  # as all frozen specs are
    training = experiment.training
    if isinstance(experiment, Run):
        passes = training.rounds * training.epochs
        # Test images, twice a round, and images to look at for the merge, by every agent's network.
        forward = training.rounds * experiment.agents * images
    else:
        passes, forward = training.pretrain_epochs, 0
    seen = 3 * passes * images + forward  # backward costs twice the forward pass
    speed = FLOPS_OF_GPU if study.device == "cuda" else FLOPS_PER_THREAD * study.threads
    seconds = seen * cost.operations / speed + seen / training.batch_size * SECONDS_OF_STEP
    trials = len(experiment.tuning.factors) if isinstance(experiment, Tuned) else 1

    processes = experiment.agents if study.communication.name == "ranks" else 1
    held = images * channels * size**2 * 3  # decoded, and copies of parts
    batch = 3 * training.batch_size * cost.features
    own = experiment.agents * COPIES * cost.parameters
    size_in_bytes = processes * (BYTES_OF_PROCESS + held + batch) + own
    return Needs(
        minutes=5 * -(-int(SECONDS_OF_START + trials * seconds) // 300),
        megabytes=100 * -(-int(size_in_bytes) // 10**8),
    )


@cache
def cost_of(model: AnyModel, channels: int, size: int) -> Cost:
    """What an image costs in a network: counted while one passes through, whatever its weights are.

    Torch's own counter, and a pass on its meta device, import what takes longer than all of this.
    """
    with torch.device("meta"):
        network = model.build(channels, 100)
    network.to_empty(device="cpu").eval()
    operations = features = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal operations, features
        features += output.numel() * 4
        if isinstance(module, nn.Conv2d | nn.Linear):
            operations += 2 * output.numel() * module.weight[0].numel()

    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, channels, size, size))
    parameters = sum(parameter.numel() * 4 for parameter in network.parameters())
    return Cost(operations, features, parameters)
