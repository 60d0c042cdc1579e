"""Agents with random networks and random images, dealt out evenly."""

import numpy
import torch

from dimat.agents.networks import Networks
from dimat.agents.training import Training
from dimat.data.augmentation import Augmentation
from dimat.data.image_set import ImageSet
from dimat.data.partitions import Iid
from dimat.models import Model
from dimat.randomness import Randomness
from dimat.tasks import Classification
from dimat.tasks.images import ImageTask

CLASSES = 10


def random_networks(
    model: Model,
    agents: int,
    images: int,
    size: int,
    device: torch.device,
    training: Training,
    augmentation: Augmentation,
    *,
    recorded: bool = False,
) -> Networks:
    """``agents`` networks that share ``images`` images of ``size`` x ``size``, as in a study."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 3, size, size), dtype=torch.uint8, generator=generator)
    labels = torch.arange(images) % min(CLASSES, images)
    names = tuple(map(str, range(min(CLASSES, images))))
    data = ImageSet("random images", names, pixels, labels, pixels[: len(names)], labels[: len(names)])
    shares = Iid().shares(labels.numpy(), agents, numpy.random.default_rng(0))
    randomness = Randomness("benchmark", 0)
    task = ImageTask(
        Classification(),
        model,
        data.to(device),
        shares,
        augmentation,
        randomness,
        batch_size=training.batch_size,
        same_start=training.start == "same",
        precision=training.precision,
    )
    return Networks(task, training, randomness, recorded=recorded)
