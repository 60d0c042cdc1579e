"""What can be told of an experiment before its data are read: whether they go round and fit the model."""

from collections.abc import Hashable
from functools import lru_cache
from typing import cast

import numpy
import torch
from numpy import ndarray
from torch import Tensor

from dimat.data import AnyDataSet
from dimat.data.image_set import first_of_each_class, share_of_each_class
from dimat.data.partitions import AnyPartition
from dimat.data.partitions.partition import whole
from dimat.errors import InputError
from dimat.experiment.network_cost import cost_of
from dimat.methods.dealing import check_blocks
from dimat.models import AnyModel
from dimat.randomness import Randomness
from dimat.tasks.images import check_holdings
from dimat.topology import AnyGraph

DEALT = 5000
"""Images up to which a partition is tried out; more would take as long as the rest of reading a study."""


def check_size(data: AnyDataSet, model: AnyModel) -> None:
    """`InputError` if images of ``data`` are known to be too small for the ``model``."""
    known = data.known()
    if (size := data.size or (known and known.size)) is not None:
        model.check_size(size, size)


def check_dealt(data: AnyDataSet, model: AnyModel, graph: AnyGraph, agents: int) -> None:
    """`InputError` if a group of the ``model`` has too few channels to deal out among neighbours."""
    _, channels, size = data.extent
    groups = cost_of(cast(Hashable, model), channels, data.size or size).groups  # as all frozen specs are
    check_blocks(int(graph.neighbourhoods(agents).max()), [channels for channels, _ in groups])


@lru_cache(maxsize=1024)
def check_shares(data: AnyDataSet, partition: AnyPartition | None, agents: int, seed: int) -> None:
    """`InputError` if it is known that images of ``data`` cannot be dealt out so.

    How many images an agent holds depends on nothing but the sizes of the classes, the number of agents and
    the seed: labels in any order give what those of the data will give. Many images are not dealt out here;
    that fails, if at all, in a study's first minute.
    """
    labels = kept_labels(cast(Hashable, data))  # as all frozen specs are
    images = data.train_limit if labels is None else len(labels)
    if images is not None and 2 * agents > images:
        raise InputError(
            f"agents: {agents} are too many for {images} training images; expected two or more for each"
        )
    if labels is None or len(labels) > DEALT:
        return
    if partition is None:
        check_holdings(whole(len(labels)))
        return
    generator = Randomness(data.name, seed).numpy("partition")
    check_holdings(partition.shares(labels, agents, generator))


@lru_cache(maxsize=64)
def kept_labels(data: AnyDataSet) -> ndarray | None:
    """Labels of the training images that limits and validation leave, as many of each class as there will be.

    `None` if nothing is known of the data; `InputError` if the limits cannot be met.
    """
    if (known := data.known()) is None:
        return None
    _, train = data.trained_on(_labels(known.train), len(known.train))
    if not data.validation:
        first_of_each_class(_labels(known.test), data.test_limit, "data.test_limit")
        return train.numpy()
    left = train[~share_of_each_class(train, data.validation)]
    counts = torch.bincount(left, minlength=len(train.unique()))
    if int(counts.min()) == 0:
        raise InputError(
            f"data.validation: {data.validation:g} of the {len(train)} training images leaves none of class "
            f"{int(counts.argmin())}; expected a smaller share or more images"
        )
    return left.numpy()


def _labels(counts: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(numpy.repeat(numpy.arange(len(counts)), cast(list[int], counts)))
