"""What a communication graph is: its links, and the mixing matrix of each communication.

A graph is described by its edges and weights; checks, failures and the speed of averaging follow from
them. Matrices follow one convention: entry [i, j] is the weight of receiver i for what sender j sent.
"""

from abc import abstractmethod
from collections.abc import Hashable, Iterable
from functools import lru_cache
from math import lcm
from typing import Annotated, Any, Self, cast

import networkx
import numpy
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from dimat.errors import InputError
from dimat.randomness import Randomness
from dimat.spec import Spec
from dimat.topology.bursts import Bursts
from dimat.topology.churn import AnyChurn
from dimat.topology.delays import Arrivals, Delays, contraction_with_delays
from dimat.topology.failures import (
    contraction_in_the_long_run,
    contraction_with_failures,
    links_of,
    with_failures,
    without,
)
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
    churn: AnyChurn | None = None
    """Which agents sleep when: all links of those fail, while they train on by themselves. `markov`, each at
    random for a while, or `cyclic`, groups in turns; null: none. Time counts in communications: for methods
    that communicate at every step these are steps, for others rounds."""
    bursts: Bursts | None = None
    """Links that fail for a while, again and again; null: none do."""
    delays: Delays | None = None
    """Messages that arrive late, so that agents mix with older models of their neighbours; null: none do.
    Time counts in communications, as in `churn`. Only for methods that can do with it."""

    @model_serializer(mode="wrap")
    def _what_comes_and_goes(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """`churn`, `bursts` and `delays` are a part of it only where there are some."""
        content = handler(self)
        for key in ("churn", "bursts", "delays"):
            if getattr(self, key) is None:
                content.pop(key, None)
        return content

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
        """The mixing matrices (agents, agents) of one period, not checked, without failures and churn."""

    def period(self, agents: int) -> int:
        """The number of communications after which the graph repeats, but for what fails at random."""
        return len(self._checked_matrices(agents))

    @property
    def fails(self) -> bool:
        """Whether links fail at random."""
        return bool(self.link_failures or self.agent_failures or self._remembers)

    @property
    def _remembers(self) -> bool:
        """Whether what fails hangs on what failed before."""
        return self.bursts is not None or (self.churn is not None and not self.churn.period)

    @property
    def delayed(self) -> bool:
        """Whether messages can be late."""
        return self.delays is not None and self.delays.happen

    def network(self, agents: int) -> networkx.Graph | networkx.DiGraph:
        """The graph as a networkx object, a `DiGraph` of arcs (sender, receiver) if it is directed.

        `InputError` unless it is simple and (strongly) connected; one that changes in time need only be so
        over one period.
        """
        graph = self._network(agents, self.edges(agents))
        if networkx.number_of_selfloops(graph) or set(graph) != set(range(agents)):
            raise InputError(f"graph: {self.label()} is not a simple graph over agents 0 to {agents - 1}")
        self._check_connected(graph)
        return graph

    def _network(self, agents: int, edges: Iterable[tuple[int, int]]) -> networkx.Graph | networkx.DiGraph:
        graph = networkx.DiGraph() if self.is_directed else networkx.Graph()
        graph.add_nodes_from(range(agents))
        graph.add_edges_from(edges)
        return graph

    def _check_connected(self, graph: networkx.Graph | networkx.DiGraph) -> None:
        """`InputError` unless agents can all reach each other."""
        parts = (
            networkx.strongly_connected_components(graph)
            if isinstance(graph, networkx.DiGraph)
            else networkx.connected_components(graph)
        )
        if len(found := [sorted(part) for part in parts]) > 1:
            shown = f"{found[:4]}"[:-1] + (f", ... {len(found) - 4} more parts]" if len(found) > 4 else "]")
            raise InputError(
                f"graph: {self.label()} over {len(graph)} agents is disconnected: {shown} cannot "
                f"{'all ' * self.is_directed}reach each other; expected a "
                f"{'strongly ' * self.is_directed}connected graph"
            )

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

        It is that of `matrices`, after the failures that ``randomness`` draws for this communication. It is
        the same whatever was asked for before.
        """
        matrices = self._checked_matrices(agents)
        matrix = matrices[time % len(matrices)]
        if not self.fails:
            return matrix
        if self.link_failures or self.agent_failures:
            generator = randomness.numpy("links", round=time)
            matrix = with_failures(
                matrix, self._fails_one_way, self.link_failures, self.agent_failures, generator
            )
        if self.churn is not None and not self.churn.period:
            matrix = without(matrix, links_of(self.churn.asleep(agents, time, randomness)))
        if self.bursts is not None:
            matrix = without(matrix, self.bursts.bad(agents, time, randomness, self._fails_one_way))
        matrix.setflags(write=False)
        return matrix

    def arrivals(self, agents: int, randomness: Randomness) -> Arrivals | None:
        """Which messages have arrived at each communication, as ``randomness`` draws it; `None`: all have."""
        if self.delays is None or not self.delayed:
            return None
        return Arrivals(
            self.delays, lambda time: self.mixing_at(agents, time, randomness), agents, randomness
        )

    def doubly_stochastic(self, agents: int) -> bool:
        """Whether the matrix of every communication is doubly stochastic, whatever fails.

        Where links have one direction, a failure leaves weight with its sender that its receiver lacks.
        """
        sleeps = self.agent_failures or self.churn is not None
        loses = self.link_failures or self.bursts is not None
        if (self.is_directed and sleeps) or (self._fails_one_way and loses):
            return False
        return all(is_doubly_stochastic(matrix) for matrix in self._checked_matrices(agents))

    def contraction(self, agents: int) -> float:
        """The factor by which one communication shrinks the disagreement of ``agents`` agents.

        It is `second_eigenvalue` of the product of one period's matrices, to the power 1 / period; with
        failures see `contraction_with_failures`, or `contraction_in_the_long_run` where these have a memory,
        and `contraction_with_delays` where messages are late. 1 - contraction is the spectral gap.
        """
        source = Randomness("failures", 0)
        if (arrivals := self.arrivals(agents, source)) is not None:
            return contraction_with_delays(lambda time: self.mixing_at(agents, time, source), arrivals)
        if self._remembers:
            return contraction_in_the_long_run(lambda time: self.mixing_at(agents, time, source), agents)
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
        if self.one_way and not (self.link_failures or self.bursts):
            raise ValueError("one_way says how links fail; expected link_failures above 0, or bursts, too")
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
    matrices = graph.matrices(agents)
    for matrix in matrices:
        check_mixing_matrix(matrix, graph.is_directed)
    if graph.churn is not None and graph.churn.period:
        matrices = _in_turns(graph, agents, matrices)
    for matrix in matrices:
        matrix.setflags(write=False)
    return tuple(matrices)


def _in_turns(graph: Graph, agents: int, matrices: list[numpy.ndarray]) -> list[numpy.ndarray]:
    """The matrices of a period of both, a graph and who sleeps; `InputError` if some never meet."""
    assert graph.churn is not None
    nothing = Randomness("churn", 0)  # as turns are not drawn
    found = [
        without(matrices[time % len(matrices)], links_of(graph.churn.asleep(agents, time, nothing)))
        for time in range(lcm(len(matrices), graph.churn.period))
    ]
    used = [(int(j), int(i)) for i, j in numpy.argwhere(sum(found)) if i != j]
    graph._check_connected(graph._network(agents, used))
    return found
