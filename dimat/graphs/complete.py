"""The complete graph: every agent talks to every other."""

from itertools import combinations
from typing import Literal

from dimat.graphs.graph import Graph


class Complete(Graph):
    """Fully connected agents; both weightings give 1 / N everywhere."""

    name: Literal["complete"]

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """All pairs."""
        return list(combinations(range(agents), 2))
