"""The static exponential graph (Ying, Yuan, Chen, Hu, Pan and Yin 2021, arXiv 2110.13363)."""

from typing import Literal

from dimat.topology.directed import DirectedGraph


class Exponential(DirectedGraph):
    """Agent i sends to i + 1, i + 2, i + 4, ... (modulo N); doubly stochastic, and fast with few links."""

    name: Literal["exponential"] = "exponential"

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """Arcs (i, i + 2^k), modulo N."""
        return [(i, (i + hop) % agents) for i in range(agents) for hop in hops(agents)]


def hops(agents: int) -> list[int]:
    """The powers of two below ``agents``: ceil(log2 N) of them."""
    return [1 << k for k in range((agents - 1).bit_length())]
