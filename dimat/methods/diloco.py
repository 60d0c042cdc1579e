"""DiLoCo: Nesterov's steps along averaged deltas (Douillard and others 2023, arXiv 2311.08105)."""

from typing import ClassVar, Literal

from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents
from dimat.communication.communicator import Communicator
from dimat.methods.outer import Decay, OuterRate, OuterSteps


class Diloco(OuterSteps):
    """With Phi of the last round and the networks X trained from it: an outer gradient D = Phi - W X.

    M <- momentum M + D, Phi <- Phi - rate (D + momentum M). On the complete graph, W X is the mean of all,
    and all have one Phi, as published; on others each agent has its own. The first merge is a plain average,
    which gives the common start of the published runs. Their steps in between are AdamW's, whose state is
    kept: `training: {optimizer_state: kept}`.
    """

    name: Literal["diloco"] = "diloco"
    title: ClassVar[str] = "DiLoCo"
    outer_rate: OuterRate = 0.7
    """Learning rate of outer steps."""
    outer_momentum: Decay = 0.9
    """Nesterov's momentum of outer steps, in the form of deep-learning libraries."""

    @override
    def outer(self, agents: Agents, communicator: Communicator, round: int) -> Tensor:
        mean = communicator.mix(agents.parameters, "models")
        if round == 1:
            return mean
        gradient = agents.state["outer"] - mean
        kept = self.outer_momentum * agents.state["outer momentum"] + gradient
        agents.state["outer momentum"] = kept
        return agents.state["outer"] - self.outer_rate * (gradient + self.outer_momentum * kept)
