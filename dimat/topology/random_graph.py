"""Graphs that are drawn at random."""

from abc import abstractmethod
from typing import Annotated

import networkx
from pydantic import Field

from dimat.errors import InputError
from dimat.randomness import Randomness
from dimat.topology.graph import sorted_edges
from dimat.topology.undirected import UndirectedGraph

ATTEMPTS = 100


class RandomGraph(UndirectedGraph):
    """A family of random graphs; one is drawn again until it is connected."""

    draw: Annotated[int, Field(ge=0)] = 0
    """Which graph is drawn: another number gives another graph, the same for all seeds of a study."""

    @abstractmethod
    def sample(self, agents: int, seed: int) -> networkx.Graph:
        """One graph over 0 to ``agents`` - 1; `InputError` if there is none."""

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """The edges of the first connected graph among a fixed number of draws."""
        randomness = Randomness("graphs", self.draw)
        for attempt in range(ATTEMPTS):
            generator = randomness.numpy(str(self.model_dump()["name"]), round=attempt)
            graph = self.sample(agents, int(generator.integers(2**32)))
            if networkx.is_connected(graph):
                return sorted_edges(graph)
        raise InputError(
            f"graph: {self.label()} over {agents} agents was never connected in {ATTEMPTS} draws; "
            "ask for more links"
        )
