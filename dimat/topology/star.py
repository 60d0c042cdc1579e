"""The star: one agent talks to all others, which talk to it alone."""

from typing import Literal

import networkx

from dimat.topology.graph import sorted_edges
from dimat.topology.undirected import UndirectedGraph


class Star(UndirectedGraph):
    """Agent 0 in the centre, linked to every other."""

    name: Literal["star"] = "star"

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """Edges (0, i)."""
        return sorted_edges(networkx.star_graph(agents - 1))
