"""A graph given edge by edge in the configuration."""

from collections import Counter
from typing import Annotated, Literal

from pydantic import Field

from dimat.errors import InputError
from dimat.spec import Many
from dimat.topology.graph import sorted_pairs
from dimat.topology.undirected import UndirectedGraph


class EdgeList(UndirectedGraph):
    """The undirected graph with exactly the listed edges."""

    name: Literal["edges"] = "edges"
    edge_list: Annotated[Many[Many[int]], Field(min_length=1)]
    """Pairs of agents, counted from 0."""

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """The listed edges, checked to name existing, distinct agents; they may be in both directions."""
        for edge in self.edge_list:
            if len(set(edge)) != 2 or len(edge) != 2 or not all(0 <= agent < agents for agent in edge):
                raise InputError(
                    f"graph.edge_list: {list(edge)} is no edge between two of the agents 0 to {agents - 1}"
                )
        if repeated := [list(edge) for edge, count in Counter(self.edge_list).items() if count > 1]:
            raise InputError(f"graph.edge_list: {repeated[0]} is listed twice; expected it once")
        return sorted_pairs((i, j) for i, j in self.edge_list)
