"""CDSGD, combine then adapt (Jiang, Balu, Hegde and Sarkar 2017)."""

from typing import ClassVar, Literal

from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import LocalMomentum


class Cdsgd(LocalMomentum):
    """Average with the neighbours and step along the gradient at the point before: X <- W X - rate G(X)."""

    name: Literal["cdsgd"] = "cdsgd"
    title: ClassVar[str] = "CDSGD"
    every_link: ClassVar[bool] = True
    bears_delays: ClassVar[bool] = True

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        direction = self.direction(agents, self.gradients(step, x))
        agents.parameters = communicator.mix(x, "models") - rate * direction
