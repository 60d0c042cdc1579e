"""The chain: a ring that does not close."""

from typing import Literal

import networkx

from dimat.topology.graph import sorted_edges
from dimat.topology.undirected import UndirectedGraph


class Chain(UndirectedGraph):
    """Agents in a line, each linked to the ones before and after it."""

    name: Literal["chain"] = "chain"

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """Edges (i, i + 1)."""
        return sorted_edges(networkx.path_graph(agents))
