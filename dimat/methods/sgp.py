"""SGP: stochastic gradient push (Assran, Loizou, Ballas and Rabbat 2019, algorithm 1)."""

from typing import ClassVar, Literal

import torch
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.communication.product import weighted_sum
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
        summed = []
        for row, agent in enumerate(agents.local_agents):
            near = received[row] | {agent: own[row]}
            summed.append(
                [
                    weighted_sum({j: each[part] for j, each in near.items()}, communicator.mixing[agent])
                    for part in ("numerator", "weight")
                ]
            )
        x, weights = (torch.stack(parts) for parts in zip(*summed, strict=True))
        agents.state["lack of weight"] = weights - 1
        agents.parameters = x / weights.to(x)
