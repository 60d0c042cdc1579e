"""The complete graph: every agent talks to every other."""

from itertools import combinations
from typing import Literal

from dimat.topology.undirected import UndirectedGraph


class Complete(UndirectedGraph):
    """Fully connected agents; all weights are 1 / N."""

    name: Literal["complete"] = "complete"

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """All pairs."""
        return list(combinations(range(agents), 2))
