"""D-PSGD and one global merge in the end (Zhu, Zhang, Wang, Zhou and Wang 2025, arXiv 2507.06542)."""

from typing import ClassVar, Literal

import numpy
from typing_extensions import override

from dimat.agents.agents import Agents
from dimat.communication.communicator import Communicator
from dimat.methods.dpsgd import AdaptThenCombine


class FinalMerge(AdaptThenCombine):
    """D-PSGD; after the last step every agent sends its network to all others, and all average."""

    name: Literal["final_merge"] = "final_merge"
    title: ClassVar[str] = "D-PSGD, final merge"
    meets_attackers: ClassVar[bool] = False

    @override
    def finish(self, agents: Agents, communicator: Communicator) -> None:
        everyone = numpy.full((communicator.agents, communicator.agents), 1 / communicator.agents)
        agents.parameters = communicator.mix(agents.parameters, "models", everyone)
