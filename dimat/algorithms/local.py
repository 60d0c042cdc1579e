"""No communication: every agent trains alone."""

from collections.abc import Sequence
from typing import Literal

from dimat.algorithms.method import LocalTraining
from dimat.merging.diagnostics import Diagnostic
from dimat.merging.options import Merge
from dimat.network.network import Network
from dimat.training.fleet import Fleet


class Local(LocalTraining):
    """The lower bound: agents train on their own images and never merge."""

    name: Literal["local"]
    title = "no communication"
    ignores = frozenset({"graph", "merge"})

    def communicate(
        self, fleet: Fleet, network: Network, merge: Merge | None, round: int
    ) -> Sequence[Diagnostic]:
        """See `LocalTraining.communicate`: nothing. What is yielded as merged is the unchanged network."""
        return ()
