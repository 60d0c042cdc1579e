"""Mixing weights on the links of a static graph."""

from collections.abc import Iterable
from typing import Literal

import networkx
import numpy

from dimat.topology.fastest import fastest_mixing_matrix

Weights = Literal["metropolis", "uniform", "fastest"]


def undirected_mixing_matrix(
    edges: Iterable[tuple[int, int]], agents: int, weights: Weights
) -> numpy.ndarray:
    """The symmetric doubly stochastic matrix (agents, agents) of ``weights`` on undirected ``edges``.

    With degrees d, edge (i, j) gets 1 / (1 + max(d_i, d_j)) by `metropolis` and 1 / (1 + max over all
    agents of d) by `uniform`; for `fastest` see `fastest_mixing_matrix`. Agents keep the rest.
    """
    graph = networkx.Graph()
    graph.add_nodes_from(range(agents))
    graph.add_edges_from(edges)
    if weights == "fastest":
        return fastest_mixing_matrix(graph)
    degree = numpy.array([graph.degree[agent] for agent in range(agents)])
    matrix = numpy.zeros((agents, agents))
    for i, j in graph.edges:
        larger = max(degree[i], degree[j]) if weights == "metropolis" else degree.max()
        matrix[i, j] = matrix[j, i] = 1 / (1 + larger)
    matrix[numpy.diag_indices(agents)] = 1 - matrix.sum(axis=1)
    return matrix


def directed_mixing_matrix(arcs: Iterable[tuple[int, int]], agents: int) -> numpy.ndarray:
    """The column-stochastic matrix (agents, agents) of ``arcs`` (sender, receiver).

    Each sender weighs 1 / (1 + its out-degree) at every receiver and at itself, as push-sum needs it
    (Nedic and Olshevsky 2015, arXiv 1303.2289).
    """
    matrix = numpy.eye(agents)
    for sender, receiver in arcs:
        matrix[receiver, sender] = 1
    return matrix / matrix.sum(axis=0)
