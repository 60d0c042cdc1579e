"""Stratified IID: every agent holds the same share of every class."""

from typing import Literal

import numpy
from numpy import ndarray
from typing_extensions import override

from dimat.data.partitions.partition import Partition, Shares, joined, shuffled_classes


class Iid(Partition):
    """Each class is split evenly among all agents; remainders go to rotating agents."""

    name: Literal["iid"] = "iid"

    @override
    def label(self) -> str:
        return "IID"

    @override
    def deal(self, labels: ndarray, agents: int, generator: numpy.random.Generator) -> Shares:
        shares = joined(deal_evenly(shuffled_classes(labels, generator), agents))
        return Shares(shares, shares)


def deal_evenly(classes: list[ndarray], agents: int) -> list[list[ndarray]]:
    """Pieces of each class for each agent, sizes within one of each other, in each class and in all."""
    pieces: list[list[ndarray]] = [[] for _ in range(agents)]
    first = 0  # the agent whose turn it is, so that remainders are spread over all agents
    for members in classes:
        for position in range(agents):
            pieces[(first + position) % agents].append(members[position::agents])
        first = (first + len(members)) % agents
    return pieces
