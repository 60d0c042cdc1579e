"""Adam (Kingma and Ba 2015) with averaging at every step, as a method to be audited.

The library's own methods that communicate at every step have no Adam; its local training has.
"""

from typing import Literal

from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Network
from dimat.methods.every_step import Synchronous


class GossipAdam(Synchronous):
    """X <- W X - rate m / (sqrt(v) + epsilon), with bias-corrected running means m of G and v of G^2."""

    name: Literal["gossip_adam"] = "gossip_adam"
    title = "Adam with gossip"
    first: float = 0.9
    """Decay of the running mean of gradients."""
    second: float = 0.999
    """Decay of the running mean of their squares."""
    epsilon: float = 1e-8
    """Added to the root of v."""

    @override
    def step(self, agents: Agents, network: Network, step: Step, rate: float) -> None:
        x = agents.parameters
        gradients = step.gradients(x)
        m = self.first * agents.recall("first moment", x) + (1 - self.first) * gradients
        v = self.second * agents.recall("second moment", x) + (1 - self.second) * gradients**2
        agents.memory |= {"first moment": m, "second moment": v}
        taken = step.number + 1
        root = (v / (1 - self.second**taken)).sqrt() + self.epsilon
        agents.parameters = network.mix(x, "models") - rate * m / (1 - self.first**taken) / root
