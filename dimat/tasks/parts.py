"""Parts of the test set: for each agent, test images as its training images are dealt to it."""

import numpy
import torch
from numpy import ndarray
from torch import Tensor

from dimat.data.image_set import ImageSet
from dimat.data.partitions import Shares
from dimat.tasks.objective import Objective


def part_weights(shares: Shares, labels: ndarray, classes: int) -> ndarray:
    """(N, classes): which share of the training images of each class an agent holds between merges.

    ``labels`` (n,) are those of the training images. Columns add up to 1, so parts of a test set whose images
    weigh so make up the whole of it.
    """
    counts = shares.counts("train", labels, classes)
    return counts / counts.sum(0)


class Parts:
    """The part of a test set for each agent of a partition.

    Of whole classes it holds the test images of the agent's classes; else it holds all, and those of a class
    weigh as much as `part_weights` says.
    """

    def __init__(self, data: ImageSet, shares: Shares) -> None:
        classes = len(data.classes)
        self._weights = part_weights(shares, data.train_labels.cpu().numpy(), classes)
        labels = data.test_labels.cpu()
        self._sizes = torch.bincount(labels, minlength=classes).tolist()
        self._by_class = labels.argsort(stable=True).to(data.test_labels.device)
        self._labels = data.test_labels[self._by_class]

    def scores(self, objective: Objective, outputs: Tensor) -> list[float]:
        """The primary metric of the objective on each part (N,) from ``outputs`` (n, classes) for all images.

        Waits for the device once.
        """
        sorted_by_class = outputs[self._by_class].split(self._sizes)
        labels = self._labels.split(self._sizes)
        sums = [
            objective.scores(output, own)[objective.metric.name].double()
            for output, own in zip(sorted_by_class, labels, strict=True)
        ]
        totals = numpy.array(torch.stack(sums).tolist())
        return (self._weights @ totals / (self._weights @ self._sizes)).tolist()
