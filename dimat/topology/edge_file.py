"""A graph given edge by edge in a text file."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy
from pydantic import Field, model_validator
from typing_extensions import override

from dimat.errors import InputError
from dimat.spec import Many
from dimat.topology.graph import Graph, sorted_pairs
from dimat.topology.weights import Weights, directed_mixing_matrix, undirected_mixing_matrix


class EdgeFile(Graph):
    """The graph with exactly the edges in a file: one edge `i j` per line, and comments after #."""

    directed: bool = False
    """Whether `i j` means that i sends to j, but not j to i."""
    name: Literal["file"] = "file"
    path: Annotated[str, Field(min_length=1)]
    """The file, relative to the folder in which dimat is started; agents are counted from 0."""
    weights: Weights = "metropolis"
    """Mixing weights of an undirected graph, as of the other graphs. In a directed one a sender weighs
    1 / (1 + its out-degree), and this must be left out."""
    edge_list: Many[Many[int]] = ()
    """Leave it out: it is read from the file together with the configuration. The edges are a part of a run's
    identity: runs on a file that was edited are other runs."""

    @model_validator(mode="before")
    @classmethod
    def _edges_of_the_file(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("path"), str) or "edge_list" in value:
            return value
        if value.get("directed") is not True or "weights" not in value:
            edges = read_edges(Path(value["path"]))
            ordered = sorted(set(edges)) if value.get("directed") is True else sorted_pairs(edges)
            return {**value, "edge_list": [list(edge) for edge in ordered]}
        return value

    @property
    @override
    def is_directed(self) -> bool:
        return self.directed

    @model_validator(mode="after")
    def _weights_of_undirected(self) -> Self:
        if self.directed and self.weights != "metropolis":
            raise ValueError("a directed graph has weights of its own; leave out 'weights'")
        return self

    @override
    def label(self) -> str:
        return Graph.label(self.model_copy(update={"edge_list": ()}))

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """The edges in the file, checked to name existing, distinct agents."""
        for edge in self.edge_list:
            if len(edge) != 2 or edge[0] == edge[1] or not all(0 <= agent < agents for agent in edge):
                raise InputError(
                    f"graph.path: {self.path}: `{' '.join(map(str, edge))}` is no edge between two of the "
                    f"agents 0 to {agents - 1}; expected `i j`"
                )
        return [(edge[0], edge[1]) for edge in self.edge_list]

    @override
    def matrices(self, agents: int) -> list[numpy.ndarray]:
        if self.directed:
            return [directed_mixing_matrix(self.edges(agents), agents)]
        return [undirected_mixing_matrix(self.edges(agents), agents, self.weights)]


def read_edges(path: Path) -> list[tuple[int, int]]:
    """The edges in a file; `InputError` names a line that is none."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        raise InputError(f"graph.path: {path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: no text
        raise InputError(f"graph.path: {path}: cannot be read as text ({error})") from None
    edges = []
    for number, line in enumerate(lines, start=1):
        if words := line.split("#")[0].split():
            numbers = [int(word) for word in words if word.isdecimal() and word.isascii()]
            if len(words) != 2 or len(set(numbers)) != 2:
                raise InputError(
                    f"graph.path: {path}, line {number}: {line.strip()!r} is no edge between two agents; "
                    "expected `i j`"
                )
            edges.append((numbers[0], numbers[1]))
    return edges
