"""Small worlds (Watts and Strogatz 1998): a ring with shortcuts."""

from typing import Annotated, Literal

import networkx
from pydantic import Field
from typing_extensions import override

from dimat.errors import InputError
from dimat.topology.random_graph import RandomGraph


class SmallWorld(RandomGraph):
    """Agents on a circle, linked to the nearest ones; each link is then rewired at random, or not."""

    name: Literal["small_world"] = "small_world"
    neighbours: Annotated[int, Field(ge=2, multiple_of=2)] = 4
    """Nearest agents that each is linked to at first, half of them on either side; fewer than agents."""
    rewiring: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Probability that a link gets another end."""

    @override
    def sample(self, agents: int, seed: int) -> networkx.Graph:
        if self.neighbours >= agents:
            raise InputError(
                f"graph.neighbours: {self.neighbours} are too many for {agents} agents; expected less"
            )
        return networkx.watts_strogatz_graph(agents, self.neighbours, self.rewiring, seed)
