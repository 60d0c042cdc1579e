"""LD-SGD: local decentralized SGD (Li, Yang, Wang and Zhang 2019)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import LocalMomentum

Count = Annotated[int, Field(ge=0)]


class LdSgd(LocalMomentum):
    """In turn, ``local_steps`` steps without and ``gossip_steps`` steps with communication, as in D-PSGD."""

    name: Literal["ld_sgd"] = "ld_sgd"
    title: ClassVar[str] = "LD-SGD"
    local_steps: Count = 10
    """I1: gradient steps without communication."""
    gossip_steps: Annotated[int, Field(ge=1)] = 20
    """I2: gradient steps that are followed by averaging with the neighbours."""

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        x = x - rate * self.direction(agents, self.gradients(step, x))
        if step.number % (self.local_steps + self.gossip_steps) >= self.local_steps:
            x = communicator.mix(x, "models")
        agents.parameters = x
