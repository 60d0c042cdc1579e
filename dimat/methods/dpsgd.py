"""D-PSGD, adapt then combine (Lian, Zhang, Zhang, Hsieh, Zhang and Liu 2017)."""

from typing import ClassVar, Literal

from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import LocalMomentum


class AdaptThenCombine(LocalMomentum):
    """Step along the local gradient, then average with the neighbours: X <- W (X - rate G(X))."""

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        direction = self.direction(agents, self.gradients(step, x))
        agents.parameters = communicator.mix(x - rate * direction, "models")


class Dpsgd(AdaptThenCombine):
    """Step along the local gradient, then average with the neighbours: X <- W (X - rate G(X))."""

    name: Literal["dpsgd"] = "dpsgd"
    title: ClassVar[str] = "D-PSGD"
    every_link: ClassVar[bool] = True
    bears_delays: ClassVar[bool] = True
