"""The ring: every agent talks to the agents before and after it."""

from typing import Literal

from dimat.topology.undirected import UndirectedGraph


class Ring(UndirectedGraph):
    """Agents on a circle; two agents share one edge."""

    name: Literal["ring"] = "ring"

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """Edges (i, i + 1) and the one that closes the circle."""
        pairs = {tuple(sorted((agent, (agent + 1) % agents))) for agent in range(agents)}
        return sorted((i, j) for i, j in pairs if i != j)
