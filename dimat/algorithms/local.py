"""No communication: every agent trains alone."""

from collections.abc import Iterator
from typing import Literal

from dimat.algorithms.method import LocalTraining, Stage
from dimat.merging.options import Merge
from dimat.network.network import Network
from dimat.training.fleet import Fleet


class Local(LocalTraining):
    """The lower bound: agents train on their own images and never merge."""

    name: Literal["local"]
    title = "no communication"
    ignores = frozenset({"graph", "merge"})

    def rounds(
        self, fleet: Fleet, network: Network, merge: Merge | None, first: int, last: int
    ) -> Iterator[Stage]:
        """See `Method.rounds`. What is yielded as merged is the unchanged model."""
        del network, merge
        for round in range(first, last + 1):
            yield Stage(round, "merged")
            if round < last:
                fleet.train(round)
                yield Stage(round, "trained")
