"""NoLoCo: DiLoCo among random pairs (Kolehmainen, Blagoev, Donaghy, Ersoy and Nies 2025)."""

from typing import Annotated, ClassVar, Literal

import numpy
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents
from dimat.communication.communicator import Communicator, Link
from dimat.merging.matching.options import Matching
from dimat.methods.outer import Decay, OuterRate, OuterSteps


class Noloco(OuterSteps):
    """Outer steps of pairs: M <- momentum M + rate (mean of X - Phi) - gamma (Phi - mean of Phi), Phi + M.

    Means are over the two of a pair, which is drawn anew in every round from the links in use; who is left
    over is a group of its own. Both send what they learnt, X - Phi, and Phi, so that Phi of different agents
    stay together without an average of all. For pairs, the paper asks for momentum < rate, and for
    momentum < gamma < sqrt(2 + momentum^2) (appendix A.2 and equation 74).
    """

    name: Literal["noloco"] = "noloco"
    title: ClassVar[str] = "NoLoCo"
    outer_rate: OuterRate = 0.7
    """Learning rate of outer steps."""
    outer_momentum: Decay = 0.5
    """Momentum of outer steps."""
    gamma: Annotated[float, Field(ge=0, le=2)] = 1.0
    """How far the two of a pair draw together; to their mean with 1. The paper does not say how far, and its
    authors' code takes the outer rate."""

    @override
    def needs_undirected(self, matching: Matching | None) -> bool:
        """Both of a pair receive."""
        return True

    @override
    def outer(self, agents: Agents, communicator: Communicator, round: int) -> Tensor:
        outer = agents.state["outer"]
        learnt = agents.parameters - outer
        generator = agents.randomness.numpy("pairs", round=round)
        partner = {i: j for pair in pairs(communicator.edges(), generator) for i, j in (pair, pair[::-1])}
        own = {
            agent: {"learnt": learnt[row], "outer": outer[row].clone()}
            for row, agent in enumerate(agents.local_agents)
        }
        arrived = communicator.send({(i, partner[i]): own[i] for i in own if i in partner}, "models")
        kept = self.outer_momentum * agents.state["outer momentum"]
        for row, agent in enumerate(agents.local_agents):
            group = [own[agent]]
            if agent in partner:
                group.append(arrived[partner[agent], agent])
            kept[row] += self.outer_rate * sum(each["learnt"] for each in group) / len(group)
            kept[row] -= self.gamma * (outer[row] - sum(each["outer"] for each in group) / len(group))
        agents.state["outer momentum"] = kept
        return outer + kept


def pairs(edges: list[Link], generator: numpy.random.Generator) -> list[Link]:
    """Links without a common end, taken one by one in random order, as many as fit."""
    found: list[Link] = []
    for place in generator.permutation(len(edges)):
        if not {*edges[place]} & {agent for pair in found for agent in pair}:
            found.append(edges[place])
    return found
