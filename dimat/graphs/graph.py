"""Communication graphs and their mixing matrices.

A graph is described by its edges; neighbours, the mixing matrix and the checks follow from them.
"""

from abc import abstractmethod
from typing import Literal

import networkx
import numpy

from dimat.errors import InputError
from dimat.spec import Spec


class Graph(Spec):
    """A family of undirected communication graphs over any number of agents."""

    weights: Literal["metropolis", "uniform"] = "metropolis"
    """Mixing weights of edge (i, j) with degrees d: `metropolis` 1 / (1 + max(d_i, d_j));
    `uniform` 1 / (1 + max over all agents of d). Each agent keeps the rest for itself."""

    @abstractmethod
    def edges(self, agents: int) -> list[tuple[int, int]]:
        """Undirected edges (i, j), i < j, of the graph over ``agents`` agents."""

    def network(self, agents: int) -> networkx.Graph:
        """The graph as a networkx object; `InputError` unless it is simple and connected."""
        graph = networkx.Graph()
        graph.add_nodes_from(range(agents))
        graph.add_edges_from(self.edges(agents))
        if networkx.number_of_selfloops(graph) or set(graph) != set(range(agents)):
            raise InputError(f"graph: {self} is not a simple graph over agents 0 to {agents - 1}")
        if not networkx.is_connected(graph):
            parts = [sorted(part) for part in networkx.connected_components(graph)]
            raise InputError(
                f"graph: {self} over {agents} agents is disconnected: {parts} cannot reach each other; "
                "valid is a connected graph"
            )
        return graph

    def mixing_matrix(self, agents: int) -> numpy.ndarray:
        """The symmetric doubly stochastic matrix Pi, of shape (agents, agents).

        It is positive exactly on edges and, where the degrees leave a rest, on the diagonal.
        """
        graph = self.network(agents)
        degree = numpy.array([graph.degree[agent] for agent in range(agents)])
        matrix = numpy.zeros((agents, agents))
        for i, j in graph.edges:
            larger = max(degree[i], degree[j]) if self.weights == "metropolis" else degree.max()
            matrix[i, j] = matrix[j, i] = 1 / (1 + larger)
        matrix[numpy.diag_indices(agents)] = 1 - matrix.sum(axis=1)
        check_mixing_matrix(matrix)
        return matrix

    def __str__(self) -> str:
        return self.name  # type: ignore[attr-defined]  # every registered graph has one


def check_mixing_matrix(matrix: numpy.ndarray) -> None:
    """`InputError` unless ``matrix`` (N, N) is nonnegative, symmetric and doubly stochastic."""
    tolerance = 1e-12 * len(matrix)
    faults = {
        "negative": -matrix.min(),
        "not symmetric": abs(matrix - matrix.T).max(),
        "not stochastic in its rows": abs(matrix.sum(axis=1) - 1).max(),
    }
    for fault, size in faults.items():
        if not size <= tolerance:
            raise InputError(f"mixing matrix: {fault} by {size:.3g}; at most {tolerance:.1g} is round-off")


def second_eigenvalue(matrix: numpy.ndarray) -> float:
    """max(|lambda_2|, |lambda_N|) of a symmetric mixing matrix; 0 for a single agent.

    It is the contraction factor of one gossip step in the Euclidean norm, sqrt(rho) in the analysis.
    """
    magnitudes = numpy.sort(abs(numpy.linalg.eigvalsh(matrix)))
    return float(magnitudes[-2]) if len(matrix) > 1 else 0.0


def spectral_gap(matrix: numpy.ndarray) -> float:
    """1 - `second_eigenvalue`."""
    return 1 - second_eigenvalue(matrix)
