"""Epidemic Learning: everyone sends to a few at random (de Vos and others 2023, arXiv 2310.01972)."""

from typing import Annotated, ClassVar, Literal

import numpy
from pydantic import Field
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import LocalMomentum
from dimat.randomness import Randomness

Count = Annotated[int, Field(ge=1, le=10**6)]


class Epidemic(LocalMomentum):
    """EL-Local: step, send the result to some neighbours at random, average what has come with one's own.

    On the complete graph these are any other agents, as published. How many come in is random, so that the
    mean of all stays where it is on average only.
    """

    name: Literal["epidemic"] = "epidemic"
    title: ClassVar[str] = "Epidemic Learning"
    receivers: Count = 2
    """s: to how many each agent sends; to all, if it has no more neighbours."""
    local_steps: Count = 1
    """Gradient steps before agents send."""

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        x = x - rate * self.direction(agents, self.gradients(step, x))
        if (step.number + 1) % self.local_steps == 0:
            matrix = self.links(communicator, agents.randomness, step.number)
            x = communicator.mix(x, "models", matrix)
        agents.parameters = x

    def links(self, communicator: Communicator, randomness: Randomness, number: int) -> numpy.ndarray:
        """The averaging (N, N) after step ``number``: the mean of an agent and those who send to it."""
        came = numpy.eye(communicator.agents)
        for agent in range(communicator.agents):
            generator = randomness.numpy("receivers", agent=agent, round=number)
            there = numpy.array(communicator.receivers(agent), dtype=int)  # of nobody, where links fail
            came[generator.permutation(there)[: self.receivers], agent] = 1
        return came / came.sum(axis=1, keepdims=True)
