"""CDSGD, combine then adapt (Jiang, Balu, Hegde and Sarkar 2017)."""

from typing import Literal

from dimat.algorithms.gossip import LocalMomentum
from dimat.network.network import Network
from dimat.training.agents import Agents, Step


class Cdsgd(LocalMomentum):
    """Average with the neighbours and step along the gradient at the point before: X <- W X - rate G(X)."""

    name: Literal["cdsgd"]
    title = "CDSGD"

    def step(self, agents: Agents, network: Network, step: Step, rate: float) -> None:
        """See `Synchronous.step`."""
        x = agents.parameters
        direction = self.direction(agents, step.gradients(x))
        agents.parameters = network.mix(x, "models") - rate * direction
