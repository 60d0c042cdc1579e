"""SGP: stochastic gradient push (Assran, Loizou, Ballas and Rabbat 2019, algorithm 1)."""

from typing import ClassVar, Literal

from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.communication.product import weighted_sums
from dimat.methods.every_step import LocalMomentum


class Sgp(LocalMomentum):
    """Push-sum: X <- P (X - rate G(Z)), w <- P w, Z <- X / w, for any column-stochastic P.

    Agents send numerators X and weights w in one message; they learn, and are evaluated, with the quotients
    Z, from which the bias of P is gone. On undirected graphs all w stay 1.
    """

    name: Literal["sgp"] = "sgp"
    title: ClassVar[str] = "SGP"
    column_stochastic: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (*LocalMomentum.keeps, PerAgent("lack of weight", "number"))

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        z = agents.parameters
        weights = agents.state["lack of weight"] + 1
        direction = self.direction(agents, self.gradients(step, z))
        own = [
            {"numerator": x, "weight": w}
            for x, w in zip(weights.to(z) * z - rate * direction, weights, strict=True)
        ]
        received = communicator.send_to_receivers(own, "models")
        known = dict(zip(agents.local_agents, own, strict=True))
        for messages in received:
            known |= messages
        x, weights = (
            weighted_sums(
                {agent: each[part] for agent, each in known.items()}, communicator.mixing, agents.local_agents
            )
            for part in ("numerator", "weight")
        )
        agents.state["lack of weight"] = weights - 1
        agents.parameters = x / weights.to(x)
