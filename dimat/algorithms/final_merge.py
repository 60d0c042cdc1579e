"""D-PSGD and one global merge in the end (Zhu, Zhang, Wang, Zhou and Wang 2025, arXiv 2507.06542)."""

from typing import Literal

import numpy

from dimat.algorithms.dpsgd import Dpsgd
from dimat.network.network import Network
from dimat.training.agents import Agents


class FinalMerge(Dpsgd):
    """D-PSGD; after the last step every agent sends its network to all others, and all average."""

    name: Literal["final_merge"]
    title = "D-PSGD, final merge"

    def finish(self, agents: Agents, network: Network) -> None:
        """See `Gossip.finish`."""
        everyone = numpy.full((network.agents, network.agents), 1 / network.agents)
        agents.parameters = network.mix(agents.parameters, "models", everyone)
