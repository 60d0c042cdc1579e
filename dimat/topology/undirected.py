"""Static graphs whose links carry messages both ways."""

import numpy
from typing_extensions import override

from dimat.topology.graph import Graph
from dimat.topology.weights import Weights, undirected_mixing_matrix


class UndirectedGraph(Graph):
    """A family of undirected graphs that stay as they are."""

    weights: Weights = "metropolis"
    """Mixing weights of edge (i, j) with degrees d: `metropolis` 1 / (1 + max(d_i, d_j));
    `uniform` 1 / (1 + max over all agents of d); `fastest` those for which averaging is fastest (Boyd,
    Diaconis and Xiao 2004). Each agent keeps the rest for itself."""

    @property
    @override
    def is_directed(self) -> bool:
        return False

    @override
    def matrices(self, agents: int) -> list[numpy.ndarray]:
        return [undirected_mixing_matrix(self.edges(agents), agents, self.weights)]
