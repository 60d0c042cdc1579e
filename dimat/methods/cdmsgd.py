"""CDMSGD: CDSGD with momentum (Jiang, Balu, Hegde and Sarkar 2017)."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Network
from dimat.methods.every_step import Synchronous


class Cdmsgd(Synchronous):
    """V <- momentum V - rate G(X), X <- W X + V (Polyak's momentum).

    The form of the published code is Nesterov's as deep-learning libraries have it: M <- momentum M + G(X),
    X <- W X - rate (G(X) + momentum M).
    """

    name: Literal["cdmsgd"] = "cdmsgd"
    title = "CDMSGD"
    momentum: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Decay of the velocity."""
    nesterov: bool = False
    """Momentum in the form of the published code."""

    @override
    def step(self, agents: Agents, network: Network, step: Step, rate: float) -> None:
        x = agents.parameters
        gradients = step.gradients(x)
        kept = agents.recall("momentum", x)
        if self.nesterov:
            kept = self.momentum * kept + gradients
            move = -rate * (gradients + self.momentum * kept)
        else:
            kept = self.momentum * kept - rate * gradients
            move = kept
        agents.memory["momentum"] = kept
        agents.parameters = network.mix(x, "models") + move
