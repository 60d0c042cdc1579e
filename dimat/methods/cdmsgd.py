"""CDMSGD: CDSGD with momentum (Jiang, Balu, Hegde and Sarkar 2017)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import Synchronous
from dimat.methods.momentum import velocity


class Cdmsgd(Synchronous):
    """V <- momentum V - rate G(X), X <- W X + V (Polyak's momentum).

    The form of the published code is Nesterov's as deep-learning libraries have it: M <- momentum M + G(X),
    X <- W X - rate (G(X) + momentum M).
    """

    name: Literal["cdmsgd"] = "cdmsgd"
    title: ClassVar[str] = "CDMSGD"
    every_link: ClassVar[bool] = True
    bears_delays: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent("momentum"),)
    momentum: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Decay of the velocity."""
    nesterov: bool = False
    """Momentum in the form of the published code."""

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        gradients = self.gradients(step, x)
        kept = agents.state["momentum"]
        agents.state["momentum"], move = velocity(kept, gradients, rate, self.momentum, self.nesterov)
        agents.parameters = communicator.mix(x, "models") + move
