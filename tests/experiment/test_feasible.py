"""What is said of an experiment before its data are read is what reading them says."""

import numpy
import pytest
import torch

from dimat.data import DataFolders
from dimat.data.cifar import Cifar10, Cifar100
from dimat.data.digits import Digits
from dimat.data.partitions import Dirichlet, Iid, TwoPhase, WholeClasses
from dimat.data.tiny_imagenet import TinyImageNet
from dimat.errors import InputError
from dimat.experiment.feasible import check_shares, kept_labels
from dimat.randomness import Randomness
from dimat.tasks.images import check_holdings

LIMITS = [
    {},
    {"train_limit": 100},
    {"train_limit": 11},
    {"train_limit": 1395},
    {"train_limit": 1437},
    {"train_limit": 5},
    {"test_limit": 357},
    {"test_limit": 360},
    {"validation": 0.2},
    {"train_limit": 25, "validation": 0.5},
    {"train_limit": 15, "validation": 0.5},
    {"train_limit": 10, "validation": 0.1},
    {"two_classes": {"positive": [5, 6, 7, 8, 9], "share": 0.1}},
    {"two_classes": {"positive": [0, 9]}, "train_limit": 100},
    {"two_classes": {"positive": [3], "share": 0.05}, "train_limit": 100, "validation": 0.2},
    {"two_classes": {"positive": [3], "share": 0.1}, "train_limit": 10, "validation": 0.5},
    {"two_classes": {"positive": [3], "share": 0.5}},
    {"two_classes": {"positive": [3, 10]}},
]


def outcome(call):
    """What a call gives, or that it was refused."""
    try:
        return call()
    except InputError:
        return "refused"


def test_what_is_known_of_the_digits_is_true(digits):
    known = Digits().known()
    assert digits.shape == (1, known.size, known.size)
    for labels, counts in ((digits.train_labels, known.train), (digits.test_labels, known.test)):
        assert tuple(torch.bincount(labels).tolist()) == counts


def test_what_is_known_of_data_sets_is_their_extent():
    for data in (Digits(), Cifar10(), Cifar100(), TinyImageNet()):
        known = data.known()
        assert (sum(known.train), known.size) == (data.extent[0], data.extent[2])
    assert Cifar10(substitute="images.zip").known() is None


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_the_sizes_of_classes_are_those_of_the_prepared_data(limits):
    data = Digits(**limits)
    real = outcome(lambda: torch.bincount(data.prepared(DataFolders((), None)).train_labels).tolist())
    assert outcome(lambda: numpy.bincount(kept_labels(data)).tolist()) == real


@pytest.mark.parametrize(
    "partition", [Iid(), WholeClasses(), TwoPhase(), Dirichlet(alpha=0.3, fewest=2)], ids=str
)
@pytest.mark.parametrize("agents", [1, 3, 7, 10, 12, 15, 25])
def test_a_partition_is_refused_if_and_only_if_it_fails_with_the_data(partition, agents):
    data = Digits(train_limit=50)
    labels = data.prepared(DataFolders((), None)).train_labels.numpy()
    for seed in range(3):
        generator = Randomness("digits", seed).numpy("partition")
        real = outcome(lambda: check_holdings(partition.shares(labels, agents, generator)))  # noqa: B023
        assert outcome(lambda: check_shares(data, partition, agents, seed)) == real  # noqa: B023
