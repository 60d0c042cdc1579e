"""The hypercube: agents are linked where their binary numbers differ in one digit."""

from typing import Literal

from dimat.errors import InputError
from dimat.topology.undirected import UndirectedGraph


class Hypercube(UndirectedGraph):
    """Agents on the corners of a cube of log2(N) dimensions."""

    name: Literal["hypercube"] = "hypercube"

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """Edges (i, i + 2^k) where digit k of i is 0."""
        if agents.bit_count() != 1:
            raise InputError(f"agents: {agents} make no hypercube; expected a power of two")
        dimensions = agents.bit_length() - 1
        return [(i, i | 1 << k) for i in range(agents) for k in range(dimensions) if not i & 1 << k]
