"""Gradient tracking (Nedic, Olshevsky and Shi 2017, DIGing; stochastic: Pu and Nedic 2021)."""

from typing import ClassVar, Literal

from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import Synchronous


class GradientTracking(Synchronous):
    """Every agent tracks the mean gradient: Y <- W Y + G(X) - G(X before), X <- W X - rate Y.

    The mean of Y is that of the gradients, so at a fixed point no heterogeneity of the data is left in X. It
    sends twice as much as D-PSGD.
    """

    name: Literal["gradient_tracking"] = "gradient_tracking"
    title: ClassVar[str] = "gradient tracking"
    every_link: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent("trackers"), PerAgent("gradients"))

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        gradients = step.gradients(x)
        trackers = agents.state["trackers"]
        if step.number:
            trackers = communicator.mix(trackers, "trackers")
        trackers = trackers + gradients - agents.state["gradients"]
        agents.state["trackers"], agents.state["gradients"] = trackers, gradients
        agents.parameters = communicator.mix(x, "models") - rate * trackers
