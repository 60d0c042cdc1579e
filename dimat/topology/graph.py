"""What a communication graph is: its links, and the mixing matrix of each communication.

A graph is described by its edges and weights; checks, failures and the speed of averaging follow from
them. Matrices follow one convention: entry [i, j] is the weight of receiver i for what sender j sent.
"""

from abc import abstractmethod
from collections.abc import Hashable, Iterable
from functools import lru_cache
from typing import Annotated, Self, cast

import networkx
import numpy
from pydantic import Field, model_validator

from dimat.errors import InputError
from dimat.randomness import Randomness
from dimat.spec import Spec
from dimat.topology.failures import contraction_with_failures, with_failures
from dimat.topology.mixing import check_mixing_matrix, is_doubly_stochastic, round_off, second_eigenvalue

Probability = Annotated[float, Field(ge=0, lt=1)]


class Graph(Spec):
    """A family of communication graphs over any number of agents."""

    link_failures: Probability = 0.0
    """Probability that a link fails, independently at each communication. What was to be received over it
    stays with its sender."""
    agent_failures: Probability = 0.0
    """Probability that an agent is out of reach, independently at each communication: all its links fail."""

    one_way: bool = False
    """Whether a link fails in each of its directions by itself, not in both at once. Weights are then
    column-stochastic, which not every method can do with."""

    @property
    @abstractmethod
    def is_directed(self) -> bool:
        """Whether a link carries messages in one direction only."""

    @abstractmethod
    def edges(self, agents: int) -> list[tuple[int, int]]:
        """The links over ``agents`` agents: (i, j), i < j, or (sender, receiver) where they are directed.

        Of a graph that changes in time, those of all communications.
        """

    @abstractmethod
    def matrices(self, agents: int) -> list[numpy.ndarray]:
        """The mixing matrices (agents, agents) of one period, not checked and without failures."""

    def period(self, agents: int) -> int:
        """The number of communications after which the graph repeats; 1 unless it changes in time."""
        return 1

    def network(self, agents: int) -> networkx.Graph | networkx.DiGraph:
        """The graph as a networkx object, a `DiGraph` of arcs (sender, receiver) if it is directed.

        `InputError` unless it is simple and (strongly) connected; one that changes in time need only be so
        over one period.
        """
        graph = networkx.DiGraph() if self.is_directed else networkx.Graph()
        graph.add_nodes_from(range(agents))
        graph.add_edges_from(self.edges(agents))
        if networkx.number_of_selfloops(graph) or set(graph) != set(range(agents)):
            raise InputError(f"graph: {self.label()} is not a simple graph over agents 0 to {agents - 1}")
        parts = (
            networkx.strongly_connected_components(graph)
            if isinstance(graph, networkx.DiGraph)
            else networkx.connected_components(graph)
        )
        if len(found := [sorted(part) for part in parts]) > 1:
            shown = f"{found[:4]}"[:-1] + (f", ... {len(found) - 4} more parts]" if len(found) > 4 else "]")
            raise InputError(
                f"graph: {self.label()} over {agents} agents is disconnected: {shown} cannot "
                f"{'all ' * self.is_directed}reach each other; expected a "
                f"{'strongly ' * self.is_directed}connected graph"
            )
        return graph

    def neighbourhoods(self, agents: int) -> numpy.ndarray:
        """How many are each agent and those who send to it (period, agents), where nothing fails."""
        return numpy.stack([(matrix > 0).sum(1) for matrix in self._checked_matrices(agents)])

    def mixing_matrix(self, agents: int) -> numpy.ndarray:
        """The mixing matrix Pi, of shape (agents, agents), without failures.

        It is symmetric and doubly stochastic, or column-stochastic if the graph is directed. It is positive
        only on links and the diagonal. For a graph that changes in time it is the mean over one period.
        `InputError` if the graph does not exist over so many agents, or is disconnected.
        """
        return numpy.mean(self._checked_matrices(agents), axis=0)

    def mixing_at(self, agents: int, time: int, randomness: Randomness) -> numpy.ndarray:
        """The mixing matrix (agents, agents) of communication number ``time``, 0 or later; read-only.

        It is that of `matrices`, after the failures that ``randomness`` draws for this communication.
        """
        matrices = self._checked_matrices(agents)
        matrix = matrices[time % len(matrices)]
        if not (self.link_failures or self.agent_failures):
            return matrix
        generator = randomness.numpy("links", round=time)
        matrix = with_failures(
            matrix, self._fails_one_way, self.link_failures, self.agent_failures, generator
        )
        matrix.setflags(write=False)
        return matrix

    def doubly_stochastic(self, agents: int) -> bool:
        """Whether the matrix of every communication is doubly stochastic, whatever fails.

        Where links have one direction, a failure leaves weight with its sender that its receiver lacks.
        """
        if (self.is_directed and self.agent_failures) or (self._fails_one_way and self.link_failures):
            return False
        return all(is_doubly_stochastic(matrix) for matrix in self._checked_matrices(agents))

    def contraction(self, agents: int) -> float:
        """The factor by which one communication shrinks the disagreement of ``agents`` agents.

        It is `second_eigenvalue` of the product of one period's matrices, to the power 1 / period; with
        failures see `contraction_with_failures`. 1 - contraction is the spectral gap of the graph.
        """
        matrices = self._checked_matrices(agents)
        if self.link_failures or self.agent_failures:
            factor = contraction_with_failures(
                matrices, self._fails_one_way, self.link_failures, self.agent_failures
            )
        else:
            product = numpy.eye(agents)
            for matrix in matrices:
                product = matrix @ product
            factor = second_eigenvalue(product)
            if factor <= round_off(product):  # a root would make much of it
                factor = 0.0
        return factor ** (1 / len(matrices))

    def _checked_matrices(self, agents: int) -> tuple[numpy.ndarray, ...]:
        return _checked_matrices(cast(Hashable, self), agents)  # as all frozen specs are

    @property
    def _fails_one_way(self) -> bool:
        return self.is_directed or self.one_way

    @model_validator(mode="after")
    def _one_way_failures(self) -> Self:
        if self.one_way and not self.link_failures:
            raise ValueError("one_way says how links fail; expected link_failures above 0 beside it")
        return self


def sorted_edges(graph: networkx.Graph) -> list[tuple[int, int]]:
    """The edges of an undirected graph as `Graph.edges` lists them."""
    return sorted_pairs(graph.edges)


def sorted_pairs(edges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Undirected edges (i, j), i < j, in order and without repetition."""
    return sorted({(min(edge), max(edge)) for edge in edges})


@lru_cache(maxsize=16)
def _checked_matrices(graph: Graph, agents: int) -> tuple[numpy.ndarray, ...]:
    """The matrices of one period, read-only; `InputError` unless they and the graph are as they must be."""
    graph.network(agents)
    matrices = tuple(graph.matrices(agents))
    for matrix in matrices:
        check_mixing_matrix(matrix, graph.is_directed)
        matrix.setflags(write=False)
    return matrices
