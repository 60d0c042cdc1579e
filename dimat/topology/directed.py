"""Static graphs whose links carry messages one way."""

import numpy
from typing_extensions import override

from dimat.topology.graph import Graph
from dimat.topology.weights import directed_mixing_matrix


class DirectedGraph(Graph):
    """A family of directed graphs that stay as they are; a sender weighs 1 / (1 + its out-degree)."""

    @property
    @override
    def is_directed(self) -> bool:
        return True

    @override
    def matrices(self, agents: int) -> list[numpy.ndarray]:
        return [directed_mixing_matrix(self.edges(agents), agents)]
