"""Closed walks: the ways of a token that comes to every agent and back to the first, over links alone."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import networkx
import numpy

from dimat.errors import InputError

ROOTS = 16
"""Of so many depth-first trees the best is taken; among many agents, more would take long."""


def closed_walk(whole: numpy.ndarray) -> tuple[int, ...]:
    """Agents in the order of a short closed walk from agent 0, over the links of ``whole`` (N, N).

    Entry [i, j] is positive if i receives from j; all must reach each other. Where a depth-first tree is one
    long path that closes, as on rings, it is a Hamiltonian cycle. Else it visits agents in the order of
    such a tree, on shortest paths: over undirected links no more than 2 (N - 1), the way around the tree.
    """
    return _closed_walk((whole > 0).tobytes(), len(whole))


@lru_cache(maxsize=64)
def _closed_walk(links: bytes, agents: int) -> tuple[int, ...]:
    graph = _network(numpy.frombuffer(links, dtype=bool).reshape(agents, agents))
    walk = min((_around(graph, root) for root in range(min(agents, ROOTS))), key=len)
    start = walk.index(0)
    return (*walk[start:], *walk[:start])


def _around(graph: networkx.DiGraph, root: int) -> list[int]:
    """A closed walk in the order of a depth-first tree; what was passed on the way counts as visited."""
    order = list(networkx.dfs_preorder_nodes(graph, root, sort_neighbors=sorted))
    walk, seen = [root], {root}
    for agent in order:
        if agent not in seen:
            way = networkx.shortest_path(graph, walk[-1], agent)
            walk += way[1:]
            seen.update(way)
    return walk + networkx.shortest_path(graph, walk[-1], root)[1:-1]


def check_walk(walk: Sequence[int], whole: numpy.ndarray) -> None:
    """`InputError` unless a ``walk`` closes, visits all agents and goes over links of ``whole`` (N, N)."""
    agents = len(whole)
    shown = f"method.walk: {list(walk)}"
    if strange := [agent for agent in walk if agent not in range(agents)]:
        raise InputError(f"{shown} has an agent {strange[0]}; expected agents 0 to {agents - 1}")
    if missing := sorted(set(range(agents)) - set(walk)):
        raise InputError(f"{shown} never comes to agent {missing[0]}; expected a walk to all {agents} agents")
    for i, j in pairwise(walk):
        if whole[j, i] <= 0 or i == j:
            raise InputError(f"{shown} goes from {i} to {j}; expected a way over links of the graph")
    if len(walk) > 1 and (walk[-1] == walk[0] or whole[walk[0], walk[-1]] <= 0):
        raise InputError(
            f"{shown} does not close; expected a last agent that has a link to the first, which is named once"
        )


def _network(links: numpy.ndarray) -> networkx.DiGraph:
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(len(links)))
    graph.add_edges_from((int(j), int(i)) for i, j in numpy.argwhere(links) if i != j)
    return graph
