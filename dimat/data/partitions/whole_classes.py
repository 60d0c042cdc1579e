"""Whole classes: pathological label skew, as in the published non-IID experiments."""

from typing import Literal

import numpy
from numpy import ndarray
from typing_extensions import override

from dimat.data.partitions.partition import Partition, Shares, joined, shuffled_classes


class WholeClasses(Partition):
    """Every class belongs to one agent, dealt out in turn in random order.

    With more agents than classes, the agents whose turn falls on the same class share it evenly.
    """

    name: Literal["classes"] = "classes"

    @override
    def label(self) -> str:
        return "whole classes"

    @override
    def deal(self, labels: ndarray, agents: int, generator: numpy.random.Generator) -> Shares:
        shares = joined(deal_classes(shuffled_classes(labels, generator), agents, generator))
        return Shares(shares, shares)


def deal_classes(
    classes: list[ndarray], agents: int, generator: numpy.random.Generator
) -> list[list[ndarray]]:
    """Pieces for each agent, where class number c of a random order goes to the agents c mod N."""
    pieces: list[list[ndarray]] = [[] for _ in range(agents)]
    order = generator.permutation(len(classes))
    turns = max(agents, len(classes))
    for turn in range(turns):
        round_of_turns, place = divmod(turn, len(classes))
        sharers = len(range(place, turns, len(classes)))
        pieces[turn % agents].append(classes[order[place]][round_of_turns::sharers])
    return pieces
