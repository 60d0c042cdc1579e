"""A graph that changes in time: static graphs that take turns."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy
from pydantic import Field, model_validator
from typing_extensions import override

from dimat.spec import Many
from dimat.topology.graph import Graph

if TYPE_CHECKING:
    from dimat.topology import StaticGraph


class Sequence(Graph):
    """Static graphs, one for each communication, over and over; only their union need be connected."""

    name: Literal["sequence"] = "sequence"
    graphs: Annotated["Many[StaticGraph]", Field(min_length=1)]
    """The graphs in order. Failures are those of the sequence, not of its graphs."""

    @model_validator(mode="after")
    def _failures_of_the_sequence(self) -> Self:
        if any(graph.fails or graph.churn or graph.delays for graph in self.graphs):
            raise ValueError(
                "failures, churn and delays are keys of the sequence; leave them out of its graphs"
            )
        return self

    @property
    @override
    def is_directed(self) -> bool:
        return any(graph.is_directed for graph in self.graphs)

    @override
    def label(self) -> str:
        graphs = " / ".join(graph.label() for graph in self.graphs)
        return f"sequence {graphs} {', '.join(self.changes('graphs'))}".strip()

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """The edges of all graphs, as arcs both ways if one of them is directed."""
        arcs = set()
        for graph in self.graphs:
            for i, j in graph.edges(agents):
                arcs.add((i, j))
                if self.is_directed and not graph.is_directed:
                    arcs.add((j, i))
        return sorted(arcs)

    def matrices(self, agents: int) -> list[numpy.ndarray]:
        """The matrix of each graph."""
        return [graph.matrices(agents)[0] for graph in self.graphs]
