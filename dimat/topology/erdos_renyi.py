"""Erdos-Renyi graphs: every link is there or not, by chance."""

from typing import Annotated, Literal

import networkx
from pydantic import Field
from typing_extensions import override

from dimat.topology.random_graph import RandomGraph


class ErdosRenyi(RandomGraph):
    """Every pair of agents is linked with the same probability, independently (Gilbert's G(n, p))."""

    name: Literal["erdos_renyi"] = "erdos_renyi"
    probability: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Probability of each link."""

    @override
    def sample(self, agents: int, seed: int) -> networkx.Graph:
        return networkx.gnp_random_graph(agents, self.probability, seed)
