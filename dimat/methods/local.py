"""No communication: every agent trains alone."""

from collections.abc import Sequence
from typing import Literal

from typing_extensions import override

from dimat.agents.networks import Fleet
from dimat.communication.communicator import Network
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.merging.options import Merge
from dimat.methods.method import LocalTraining


class Local(LocalTraining):
    """The lower bound: agents train on their own images and never merge."""

    name: Literal["local"] = "local"
    title = "no communication"
    ignores = frozenset({"graph", "merge"})

    @override
    def communicate(
        self, fleet: Fleet, network: Network, merge: Merge | None, round: int
    ) -> Sequence[Diagnostic]:
        """Nothing. What is yielded as merged is the unchanged network."""
        return ()
