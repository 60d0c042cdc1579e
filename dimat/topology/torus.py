"""The torus: a grid whose opposite sides are joined."""

from math import isqrt
from typing import Annotated, Literal

import networkx
from pydantic import Field

from dimat.errors import InputError
from dimat.topology.graph import sorted_edges
from dimat.topology.undirected import UndirectedGraph


class Torus(UndirectedGraph):
    """Agents on a grid with opposite sides joined, row by row: 4 neighbours each, 3 in two rows, 2 in one."""

    name: Literal["torus"] = "torus"
    rows: Annotated[int, Field(ge=1)] | None = None
    """Rows of the grid, a divisor of the number of agents (1 is a ring); null makes it as square as
    possible, with two rows or more."""

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """Edges to the right and downwards, around the borders."""
        rows = self.rows_over(agents)
        grid = networkx.grid_2d_graph(rows, agents // rows, periodic=True)
        return sorted_edges(networkx.convert_node_labels_to_integers(grid, ordering="sorted"))

    def rows_over(self, agents: int) -> int:
        """The number of rows; `InputError` if so many agents make no torus."""
        if self.rows is None:
            if divisors := [rows for rows in range(2, isqrt(agents) + 1) if agents % rows == 0]:
                return divisors[-1]
            raise InputError(
                f"agents: {agents} make no torus of two rows or more; expected a product of two such numbers "
                "(or graph.rows: 1, a ring)"
            )
        if agents % self.rows:
            raise InputError(f"graph.rows: {self.rows} is no divisor of {agents} agents")
        return self.rows
