"""Adam (Kingma and Ba 2015) with averaging at every step, as a method to be audited.

The library's own methods that communicate at every step have no Adam; its local training has.
"""

from typing import ClassVar, Literal

from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import Synchronous


class GossipAdam(Synchronous):
    """X <- W X - rate m / (sqrt(v) + epsilon), with bias-corrected running means m of G and v of G^2."""

    name: Literal["gossip_adam"] = "gossip_adam"
    title: ClassVar[str] = "Adam with gossip"
    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent("first moment"), PerAgent("second moment"))
    first: float = 0.9
    """Decay of the running mean of gradients."""
    second: float = 0.999
    """Decay of the running mean of their squares."""
    epsilon: float = 1e-8
    """Added to the root of v."""

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        gradients = self.gradients(step, x)
        m = self.first * agents.state["first moment"] + (1 - self.first) * gradients
        v = self.second * agents.state["second moment"] + (1 - self.second) * gradients**2
        agents.state["first moment"], agents.state["second moment"] = m, v
        taken = step.number + 1
        root = (v / (1 - self.second**taken)).sqrt() + self.epsilon
        agents.parameters = communicator.mix(x, "models") - rate * m / (1 - self.first**taken) / root
