"""DIMAT: decentralized iterative merging-and-training (CVPR 2024, arXiv 2404.08079)."""

from collections.abc import Sequence
from typing import Any, Literal

from typing_extensions import override

from dimat.agents.networks import Fleet
from dimat.communication.communicator import Network
from dimat.errors import InputError
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.merging.merge import merge_with_neighbours
from dimat.merging.options import Merge
from dimat.methods.method import LocalTraining


class Dimat(LocalTraining):
    """Match the neighbours' neurons to one's own, average with the mixing weights, train on."""

    name: Literal["dimat"] = "dimat"
    title = "DIMAT"

    @override
    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """Without matching this is another method."""
        if type(self) is Dimat and point["merge"].matcher.name == "identity":
            raise InputError("merge.matcher: 'identity' makes dimat what method wa is; use that")
        return super().canonical(point)

    @override
    def answers(self, merge: Merge | None) -> bool:
        """A common frame is found by neighbours who tell each other their orders."""
        matched = merge is not None and merge.matcher.name != "identity"
        return matched and (merge.alignment == "consistent" or merge.rematch.holds)

    @override
    def communicate(
        self, fleet: Fleet, network: Network, merge: Merge | None, round: int
    ) -> Sequence[Diagnostic]:
        return merge_with_neighbours(fleet, network, merge, round)
