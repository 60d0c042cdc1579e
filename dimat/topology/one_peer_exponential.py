"""The one-peer exponential graph: the links of the exponential graph, one for each agent at a time.

Assran, Loizou, Ballas and Rabbat 2019 (arXiv 1811.10792); Ying et al. 2021 (arXiv 2110.13363).
"""

from typing import Literal

import numpy
from typing_extensions import override

from dimat.topology.exponential import hops
from dimat.topology.graph import Graph


class OnePeerExponential(Graph):
    """At communication t agent i sends to i + 2^(t mod ceil(log2 N)), and all weights are 1/2.

    One period averages exactly where the number of agents is a power of two.
    """

    name: Literal["one_peer_exponential"] = "one_peer_exponential"

    @property
    @override
    def is_directed(self) -> bool:
        return True

    def edges(self, agents: int) -> list[tuple[int, int]]:
        """Arcs (i, i + 2^k), modulo N, over one period."""
        return [(i, (i + hop) % agents) for i in range(agents) for hop in hops(agents)]

    def matrices(self, agents: int) -> list[numpy.ndarray]:
        """(I + P) / 2 with the cyclic permutation P of each hop."""
        identity = numpy.eye(agents)
        return [(identity + numpy.roll(identity, hop, axis=0)) / 2 for hop in hops(agents)] or [identity]
