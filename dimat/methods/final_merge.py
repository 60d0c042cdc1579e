"""D-PSGD and one global merge in the end (Zhu, Zhang, Wang, Zhou and Wang 2025, arXiv 2507.06542)."""

from typing import Literal

import numpy
from typing_extensions import override

from dimat.agents.agents import Agents
from dimat.communication.communicator import Network
from dimat.methods.dpsgd import Dpsgd


class FinalMerge(Dpsgd):
    """D-PSGD; after the last step every agent sends its network to all others, and all average."""

    name: Literal["final_merge"] = "final_merge"
    title = "D-PSGD, final merge"

    @override
    def finish(self, agents: Agents, network: Network) -> None:
        everyone = numpy.full((network.agents, network.agents), 1 / network.agents)
        agents.parameters = network.mix(agents.parameters, "models", everyone)
