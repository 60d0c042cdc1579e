"""The two-hub bipartite graph: two hubs, not linked to each other, and leaves linked to both."""

from typing import Literal

from typing_extensions import override

from dimat.errors import InputError
from dimat.topology.undirected import UndirectedGraph


class TwoHub(UndirectedGraph):
    """Complete bipartite graph K(2, N - 2); the hubs are the last two agents."""

    name: Literal["two_hub"] = "two_hub"

    @override
    def label(self) -> str:
        return super().label().replace("two hub", "two hubs", 1)

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """Each leaf with each hub."""
        if agents < 3:
            raise InputError(f"agents: {agents} is too few for the graph two_hub; expected 3 or more")
        return [(leaf, hub) for leaf in range(agents - 2) for hub in (agents - 2, agents - 1)]
