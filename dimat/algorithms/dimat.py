"""DIMAT: decentralized iterative merging-and-training (CVPR 2024, arXiv 2404.08079)."""

from collections.abc import Sequence
from typing import Any, Literal

from dimat.algorithms.method import LocalTraining
from dimat.errors import InputError
from dimat.merging.diagnostics import Diagnostic
from dimat.merging.merge import merge_with_neighbours
from dimat.merging.options import Merge
from dimat.network.network import Network
from dimat.training.fleet import Fleet


class Dimat(LocalTraining):
    """Match the neighbours' neurons to one's own, average with the mixing weights, train on."""

    name: Literal["dimat"]
    title = "DIMAT"

    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """See `Method.canonical`; without matching this is another method."""
        if type(self) is Dimat and point["merge"].matcher.name == "identity":
            raise InputError("merge.matcher: 'identity' makes dimat what method wa is; use that")
        return super().canonical(point)

    def answers(self, merge: Merge | None) -> bool:
        """See `Method.answers`: a common frame is found by neighbours who tell each other their orders."""
        matched = merge is not None and merge.matcher.name != "identity"
        return matched and (merge.alignment == "consistent" or merge.rematch.holds)

    def communicate(
        self, fleet: Fleet, network: Network, merge: Merge | None, round: int
    ) -> Sequence[Diagnostic]:
        """See `LocalTraining.communicate`."""
        return merge_with_neighbours(fleet, network, merge, round)
