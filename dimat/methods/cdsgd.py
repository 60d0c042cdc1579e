"""CDSGD, combine then adapt (Jiang, Balu, Hegde and Sarkar 2017)."""

from typing import Literal

from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Network
from dimat.methods.every_step import LocalMomentum


class Cdsgd(LocalMomentum):
    """Average with the neighbours and step along the gradient at the point before: X <- W X - rate G(X)."""

    name: Literal["cdsgd"] = "cdsgd"
    title = "CDSGD"

    @override
    def step(self, agents: Agents, network: Network, step: Step, rate: float) -> None:
        x = agents.parameters
        direction = self.direction(agents, step.gradients(x))
        agents.parameters = network.mix(x, "models") - rate * direction
