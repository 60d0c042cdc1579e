"""Labelled images as loaders have them: what networks that are evaluated look at."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy
import torch
from torch import Tensor

from dimat.merging.given import NotUsable, images_of

LABEL_KEYS = ("labels", "label", "targets", "target", "y", "class")
"""Names under which loaders give labels, by rank."""


def labelled_batches(
    labelled: Any, batch_size: int, device: torch.device, dtype: torch.dtype | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images, in ``dtype`` unless it is None, and their labels, batch by batch; empty batches are left out.

    ``labelled`` is a pair of images and labels (n,), or what gives batches of both, such as a DataLoader.
    `NotUsable` where there are no labels, or not one for each image.
    """
    if isinstance(labelled, Tensor | numpy.ndarray) or not isinstance(labelled, Iterable):
        raise NotUsable(
            f"labelled: of type {type(labelled).__name__}, which has no labels; expected a pair of images "
            "and labels, or batches of both"
        )
    if isinstance(labelled, Iterator):
        raise NotUsable("labelled: can be gone through only once; expected a pair, a list or a DataLoader")
    for batch in [labelled] if is_pair(labelled) else labelled:
        images, labels = images_of(batch), labels_of(batch)
        if len(images) != len(labels):
            raise NotUsable(f"labelled: {len(labels)} labels for {len(images)} images; expected one for each")
        size = batch_size if is_pair(labelled) else max(len(images), 1)
        for some, their in zip(images.split(size), labels.split(size), strict=True):
            if len(some):
                yield some.to(device, dtype if some.is_floating_point() else None), their.to(device)


def is_pair(labelled: Any) -> bool:
    """Whether this is a pair of all images and their labels (n,), and not a list of two batches."""
    if not isinstance(labelled, list | tuple) or len(labelled) != 2:
        return False
    arrays = all(isinstance(each, Tensor | numpy.ndarray) for each in labelled)
    return arrays and labelled[0].ndim > 1 and labelled[1].ndim == 1


def labels_of(batch: Any) -> Tensor:
    """The labels of a batch: its second item, or what it has under a usual name."""
    found = None
    if isinstance(batch, Mapping):
        found = next((batch[key] for key in LABEL_KEYS if key in batch), None)
    elif isinstance(batch, list | tuple) and len(batch) > 1:
        found = batch[1]
    if isinstance(found, numpy.ndarray):
        found = torch.from_numpy(numpy.ascontiguousarray(found))
    if not isinstance(found, Tensor):
        raise NotUsable(
            "labelled: a batch without labels; expected images and labels, the second of two or under one of "
            f"{', '.join(LABEL_KEYS)}"
        )
    return found
