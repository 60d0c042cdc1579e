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

    X' = W (X - rate (momentum M + G(X))), then M <- momentum M + (1 - momentum) (X - X') / rate. With
    Nesterov's momentum (QG-DSGDm-N) the step is along G(X) + momentum (momentum M + G(X)).
    """

    name: Literal["quasi_global"] = "quasi_global"
    title: ClassVar[str] = "quasi-global momentum"
    every_link: ClassVar[bool] = True
    bears_delays: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent("momentum"),)
    momentum: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Weight of the momentum in a step, and its decay."""
    nesterov: bool = False
    """Nesterov's momentum, in the form of deep-learning libraries (QG-DSGDm-N)."""

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        kept = agents.state["momentum"]
        gradients = self.gradients(step, x)
        direction = self.momentum * kept + gradients
        if self.nesterov:
            direction = gradients + self.momentum * direction
        moved = communicator.mix(x - rate * direction, "models")
        agents.state["momentum"] = self.momentum * kept + (1 - self.momentum) * (x - moved) / rate
        agents.parameters = moved
