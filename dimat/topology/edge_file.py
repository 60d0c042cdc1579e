"""A graph given edge by edge in a text file."""

from pathlib import Path
from typing import Literal, Self

import numpy
from pydantic import model_validator
from typing_extensions import override

from dimat.errors import InputError
from dimat.spec import Printable
from dimat.topology.graph import Graph, sorted_pairs
from dimat.topology.weights import Weights, directed_mixing_matrix, undirected_mixing_matrix


class EdgeFile(Graph):
    """The graph with exactly the edges in a file: one edge `i j` per line, and comments after #."""

    directed: bool = False
    """Whether `i j` means that i sends to j, but not j to i."""
    name: Literal["file"] = "file"
    path: Printable
    """The file, relative to the folder in which dimat is started; agents are counted from 0."""
    weights: Weights = "metropolis"
    """Mixing weights of an undirected graph, as of the other graphs. In a directed one a sender weighs
    1 / (1 + its out-degree), and this must be left out."""

    @property
    @override
    def is_directed(self) -> bool:
        return self.directed

    @model_validator(mode="after")
    def _weights_of_undirected(self) -> Self:
        if self.directed and self.weights != "metropolis":
            raise ValueError("a directed graph has weights of its own; leave out 'weights'")
        return self

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """The edges in the file, checked to name existing, distinct agents."""
        try:
            lines = Path(self.path).read_text("utf-8").splitlines()
        except FileNotFoundError:
            raise InputError(f"graph.path: {self.path}: no such file") from None
        except (OSError, ValueError) as error:  # ValueError: no text
            raise InputError(f"graph.path: {self.path}: cannot be read as text ({error})") from None
        names = {str(agent): agent for agent in range(agents)}
        edges = set()
        for number, line in enumerate(lines, start=1):
            if words := line.split("#")[0].split():
                edge = tuple(names[word] for word in words if word in names)
                if len(words) != 2 or len(set(edge)) != 2:
                    raise InputError(
                        f"graph.path: {self.path}, line {number}: {line.strip()!r} is no edge between two of "
                        f"the agents 0 to {agents - 1}; expected `i j`"
                    )
                edges.add(edge)
        return sorted(edges) if self.directed else sorted_pairs(edges)

    @override
    def matrices(self, agents: int) -> list[numpy.ndarray]:
        if self.directed:
            return [directed_mixing_matrix(self.edges(agents), agents)]
        return [undirected_mixing_matrix(self.edges(agents), agents, self.weights)]
