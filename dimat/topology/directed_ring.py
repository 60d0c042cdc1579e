"""The directed ring: every agent sends to the next."""

from typing import Literal

from dimat.topology.directed import DirectedGraph


class DirectedRing(DirectedGraph):
    """Agents on a circle; each sends to the one after it alone, and all weights are 1/2."""

    name: Literal["directed_ring"] = "directed_ring"

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """Arcs (i, i + 1), modulo N."""
        return [(agent, (agent + 1) % agents) for agent in range(agents) if agents > 1]
