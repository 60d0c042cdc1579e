"""SGP: stochastic gradient push (Assran, Loizou, Ballas and Rabbat 2019, algorithm 1)."""

from typing import ClassVar, Literal

from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Network
from dimat.methods.every_step import LocalMomentum


class Sgp(LocalMomentum):
    """Push-sum: X <- P (X - rate G(Z)), w <- P w, Z <- X / w, for any column-stochastic P.

    Agents send numerators X and weights w; they learn, and are evaluated, with the quotients Z, from which
    the bias of P is gone. On undirected graphs all w stay 1.
    """

    name: Literal["sgp"] = "sgp"
    title = "SGP"
    pushes: ClassVar[bool] = True

    @override
    def step(self, agents: Agents, network: Network, step: Step, rate: float) -> None:
        z = agents.parameters
        weights = agents.recall("lack of weight", z[:, :1].double()) + 1
        direction = self.direction(agents, step.gradients(z))
        x = network.mix(weights.to(z) * z - rate * direction, "models")
        weights = network.mix(weights, "weights")
        agents.memory["lack of weight"] = weights - 1
        agents.parameters = x / weights.to(x)
