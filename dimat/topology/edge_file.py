"""A graph given edge by edge in a text file."""

from pathlib import Path
from typing import Any, Literal, Self

import numpy
from pydantic import model_validator
from typing_extensions import override

from dimat.errors import InputError
from dimat.io.names import Showable
from dimat.io.written import read_text, shortened
from dimat.spec import Many
from dimat.topology.graph import Graph, sorted_pairs
from dimat.topology.weights import Weights, directed_mixing_matrix, undirected_mixing_matrix

EXPECTED = "expected an edge `i j` in each line"


class EdgeFile(Graph):
    """The graph with exactly the edges in a file: one edge `i j` per line, and comments after #."""

    directed: bool = False
    """Whether `i j` means that i sends to j, but not j to i."""
    name: Literal["file"] = "file"
    path: Showable
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
        """The edges in the file, checked to name agents that exist.

        An undirected one may be listed in both directions, as in files made from directed graphs.
        """
        for edge in self.edge_list:
            if len(edge) != 2 or len(set(edge)) != 2 or not all(0 <= agent < agents for agent in edge):
                raise InputError(
                    f"graph.path: {self.path}: expected edges between two of the agents 0 to {agents - 1}, "
                    f"got `{' '.join(map(str, edge))}`"
                )
        if not self.edge_list and agents > 1:
            raise InputError(f"graph.path: {self.path}: holds no edge; {EXPECTED}")
        return [(edge[0], edge[1]) for edge in self.edge_list]

    @override
    def matrices(self, agents: int) -> list[numpy.ndarray]:
        if self.directed:
            return [directed_mixing_matrix(self.edges(agents), agents)]
        return [undirected_mixing_matrix(self.edges(agents), agents, self.weights)]


def read_edges(path: Path) -> list[tuple[int, int]]:
    """The edges in a file, as they are listed; `InputError` names a line that is none."""
    name = f"graph.path: {path}"
    if path.exists() and not path.is_file():  # a pipe cannot be read again
        raise InputError(f"{name}: a folder, a pipe or a device; {EXPECTED}")
    try:
        lines = read_text(path, "an edge `i j` in each line").split("\n")
    except InputError as error:
        raise InputError(f"graph.path: {error}") from None
    numbers: dict[tuple[int, int], int] = {}
    for number, line in enumerate(lines, start=1):
        if words := line.split("#")[0].split():
            here = f"{name}, line {number}"
            edge = parse_edge(line.strip(), words, here)
            if edge in numbers:
                raise InputError(f"{here}: {words[0]} {words[1]} is listed before, in line {numbers[edge]}")
            numbers[edge] = number
    return list(numbers)


def parse_edge(line: str, words: list[str], here: str) -> tuple[int, int]:
    """Two agents from the ``words`` of a line; `InputError` says what is wrong ``here``."""
    shown = shortened(line)
    if len(words) != 2:
        raise InputError(f"{here}: {shown}; {EXPECTED}")
    for word in words:
        if not (word.isascii() and word.isdigit()) or len(word) > 9:
            raise InputError(f"{here}: {shown}: {shortened(word)} is no agent; {EXPECTED}")
    sender, receiver = map(int, words)
    if sender == receiver:
        raise InputError(f"{here}: {shown} links an agent to itself; expected two agents")
    return sender, receiver
