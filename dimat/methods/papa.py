"""PAPA: a pull to the mean of all (Jolicoeur-Martineau, Gervais, Fatras, Zhang and Lacoste-Julien 2023)."""

from typing import Annotated, ClassVar, Literal

import numpy
from pydantic import Field
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import LocalMomentum


class Papa(LocalMomentum):
    """Every few steps, X <- (1 - pull) X + pull W X; on the complete graph, W X is the mean of all.

    Where the learning rate falls, the pull falls alike, so that it does not outgrow what is learnt.
    """

    name: Literal["papa"] = "papa"
    title: ClassVar[str] = "PAPA"
    every: Annotated[int, Field(ge=1, le=10**6)] = 10
    """Gradient steps from one pull to the next."""
    pull: Annotated[float, Field(gt=0, le=1)] = 0.01
    """How far an agent is pulled, at the full learning rate."""

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        x = x - rate * self.direction(agents, self.gradients(step, x))
        if (step.number + 1) % self.every == 0:
            pull = self.pull * rate / self.learning_rate
            matrix = (1 - pull) * numpy.eye(communicator.agents) + pull * communicator.mixing
            x = communicator.mix(x, "models", matrix)
        agents.parameters = x
