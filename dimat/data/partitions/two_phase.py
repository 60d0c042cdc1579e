"""Two phases: pre-train on an IID half, then train on whole classes of the other half."""

from typing import Literal

import numpy
from numpy import ndarray
from typing_extensions import override

from dimat.data.partitions.iid import deal_evenly
from dimat.data.partitions.partition import Partition, Shares, joined, shuffled_classes
from dimat.data.partitions.whole_classes import deal_classes


class TwoPhase(Partition):
    """An IID half before the first merge, whole classes of the other half between merges.

    Half of each class is dealt out evenly for pre-training; the halves do not overlap.
    """

    name: Literal["two_phase"] = "two_phase"

    @override
    def label(self) -> str:
        return "two phases"

    @override
    def deal(self, labels: ndarray, agents: int, generator: numpy.random.Generator) -> Shares:
        classes = shuffled_classes(labels, generator)
        first = [members[: len(members) // 2] for members in classes]
        second = [members[len(members) // 2 :] for members in classes]
        return Shares(
            pretrain=joined(deal_evenly(first, agents)),
            train=joined(deal_classes(second, agents, generator)),
        )
