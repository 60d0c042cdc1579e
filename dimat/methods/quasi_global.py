"""Quasi-global momentum: QG-DSGDm (Lin, Karimireddy, Stich and Jaggi 2021, algorithm 1)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import Synchronous


class QuasiGlobal(Synchronous):
    """D-PSGD whose momentum follows the move of the average of neighbours, not of the agent alone.

    X' = W (X - rate (momentum M + G(X))), then M <- momentum M + (1 - momentum) (X - X') / rate.
    """

    name: Literal["quasi_global"] = "quasi_global"
    title: ClassVar[str] = "quasi-global momentum"
    every_link: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent("momentum"),)
    momentum: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Weight of the momentum in a step, and its decay."""

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        kept = agents.state["momentum"]
        moved = communicator.mix(x - rate * (self.momentum * kept + step.gradients(x)), "models")
        agents.state["momentum"] = self.momentum * kept + (1 - self.momentum) * (x - moved) / rate
        agents.parameters = moved
