"""Agents on the pretended device, and the same on the CPU."""

import numpy
import pytest
import torch
from support.pretend_device import pretend_device

from dimat.agents.networks import Networks
from dimat.agents.training import Training
from dimat.data.augmentation import Augmentation
from dimat.data.partitions import Iid
from dimat.models import Plain
from dimat.randomness import Randomness
from dimat.tasks import Classification
from dimat.tasks.images import ImageTask


@pytest.fixture
def device():
    """The pretended device; the runner chooses it, too."""
    with pretend_device("dimat.experiment.opening.choose_device") as pretended:
        yield pretended


@pytest.fixture
def agents_on(digits):
    """Builds agents with a few images each, on a device."""

    def make(device, agents=3, model=None, images=30, recorded=False, **training):
        options = Training(**{"batch_size": 10, "pretrain_epochs": 1, **training})
        dealt = Iid().shares(
            digits.train_labels.numpy()[: agents * images], agents, numpy.random.default_rng(0)
        )
        randomness = Randomness("device", 0)
        task = ImageTask(
            Classification(),
            model or Plain(widths=(4, 5)),
            digits.to(device),
            dealt,
            Augmentation(flip=True, crop=1),
            randomness,
            batch_size=options.batch_size,
            precision=options.precision,
        )
        task.data.normalized(task.data.train_images[:1])  # what is computed once for a data set is there now
        return Networks(task, options, randomness, recorded=recorded)

    return make


@pytest.fixture
def assert_same():
    """Compares the values of tensors by name, bit for bit, wherever they lie."""

    def compare(one, other):
        assert one.keys() == other.keys()
        for name, tensor in one.items():
            assert torch.equal(tensor.cpu(), other[name].cpu()), name

    return compare
