"""Gradient tracking (Nedic, Olshevsky and Shi 2017, DIGing; stochastic: Pu and Nedic 2021)."""

from typing import Literal

from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Network
from dimat.methods.every_step import Synchronous


class GradientTracking(Synchronous):
    """Every agent tracks the mean gradient: Y <- W Y + G(X) - G(X before), X <- W X - rate Y.

    The mean of Y is that of the gradients, so at a fixed point no heterogeneity of the data is left in X. It
    sends twice as much as D-PSGD.
    """

    name: Literal["gradient_tracking"] = "gradient_tracking"
    title = "gradient tracking"

    @override
    def step(self, agents: Agents, network: Network, step: Step, rate: float) -> None:
        x = agents.parameters
        gradients = step.gradients(x)
        trackers = agents.recall("trackers", x)
        if step.number:
            trackers = network.mix(trackers, "trackers")
        trackers = trackers + gradients - agents.recall("gradients", x)
        agents.memory |= {"trackers": trackers, "gradients": gradients}
        agents.parameters = network.mix(x, "models") - rate * trackers
