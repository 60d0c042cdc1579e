"""D-PSGD, adapt then combine (Lian, Zhang, Zhang, Hsieh, Zhang and Liu 2017)."""

from typing import Literal

from dimat.algorithms.gossip import LocalMomentum
from dimat.network.network import Network
from dimat.training.agents import Agents, Step


class Dpsgd(LocalMomentum):
    """Step along the local gradient, then average with the neighbours: X <- W (X - rate G(X))."""

    name: Literal["dpsgd"]
    title = "D-PSGD"

    def step(self, agents: Agents, network: Network, step: Step, rate: float) -> None:
        """See `Synchronous.step`."""
        x = agents.parameters
        direction = self.direction(agents, step.gradients(x))
        agents.parameters = network.mix(x - rate * direction, "models")
