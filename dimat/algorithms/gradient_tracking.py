"""Gradient tracking (Nedic, Olshevsky and Shi 2017, DIGing; stochastic: Pu and Nedic 2021)."""

from typing import Literal

from dimat.algorithms.gossip import Synchronous
from dimat.network.network import Network
from dimat.training.agents import Agents, Step


class GradientTracking(Synchronous):
    """Every agent tracks the mean gradient: Y <- W Y + G(X) - G(X before), X <- W X - rate Y.

    The mean of Y is that of the gradients, so at a fixed point no heterogeneity of the data is left in X. It
    sends twice as much as D-PSGD.
    """

    name: Literal["gradient_tracking"]
    title = "gradient tracking"

    def step(self, agents: Agents, network: Network, step: Step, rate: float) -> None:
        """See `Synchronous.step`."""
        x = agents.parameters
        gradients = step.gradients(x)
        trackers = agents.recall("trackers", x)
        if step.number:
            trackers = network.mix(trackers, "trackers")
        trackers = trackers + gradients - agents.recall("gradients", x)
        agents.memory |= {"trackers": trackers, "gradients": gradients}
        agents.parameters = network.mix(x, "models") - rate * trackers
