"""Barabasi-Albert graphs (1999): agents that come later prefer those with many neighbours."""

from typing import Annotated, Literal

import networkx
from pydantic import Field
from typing_extensions import override

from dimat.errors import InputError
from dimat.topology.random_graph import RandomGraph


class BarabasiAlbert(RandomGraph):
    """A graph that grew by preferential attachment: a few agents have most of the links."""

    name: Literal["barabasi_albert"] = "barabasi_albert"
    links: Annotated[int, Field(ge=1)] = 2
    """Links of each agent to earlier ones when it was added; fewer than there are agents."""

    @override
    def sample(self, agents: int, seed: int) -> networkx.Graph:
        if self.links >= agents:
            raise InputError(f"graph.links: {self.links} are too many for {agents} agents; expected less")
        return networkx.barabasi_albert_graph(agents, self.links, seed)
