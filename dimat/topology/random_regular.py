"""Random regular graphs: every agent has the same number of neighbours."""

from typing import Annotated, Literal

import networkx
from pydantic import Field
from typing_extensions import override

from dimat.errors import InputError
from dimat.topology.random_graph import RandomGraph


class RandomRegular(RandomGraph):
    """A graph drawn from those in which every agent has ``degree`` neighbours."""

    name: Literal["random_regular"] = "random_regular"
    degree: Annotated[int, Field(ge=1)] = 4
    """Neighbours of each agent, fewer than there are agents; odd ones need an even number of agents."""

    @override
    def sample(self, agents: int, seed: int) -> networkx.Graph:
        if self.degree >= agents or self.degree * agents % 2:
            raise InputError(
                f"graph.degree: {self.degree} neighbours for each of {agents} agents make no graph; expected "
                "a degree below the number of agents, with one of the two even"
            )
        return networkx.random_regular_graph(self.degree, agents, seed)
