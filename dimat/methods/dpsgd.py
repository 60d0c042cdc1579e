"""D-PSGD, adapt then combine (Lian, Zhang, Zhang, Hsieh, Zhang and Liu 2017)."""

from typing import Literal

from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Network
from dimat.methods.every_step import LocalMomentum


class Dpsgd(LocalMomentum):
    """Step along the local gradient, then average with the neighbours: X <- W (X - rate G(X))."""

    name: Literal["dpsgd"] = "dpsgd"
    title = "D-PSGD"

    @override
    def step(self, agents: Agents, network: Network, step: Step, rate: float) -> None:
        x = agents.parameters
        direction = self.direction(agents, step.gradients(x))
        agents.parameters = network.mix(x - rate * direction, "models")
