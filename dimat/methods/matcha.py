"""MATCHA: matchings of links, switched on at random (Wang, Sahu, Yang, Joshi and Kar 2019)."""

from typing import Annotated, ClassVar, Literal

import numpy
from pydantic import Field
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Communicator
from dimat.merging.matching.options import Matching
from dimat.methods.every_step import LocalMomentum
from dimat.topology.matchings import plan


class Matcha(LocalMomentum):
    """D-PSGD over a random part of the graph: links that matter for connectivity are used more often.

    The graph is decomposed into matchings, whose links can be used at the same time; each is switched on by
    itself with a probability that makes the expected graph as connected as the budget allows. Of several
    decompositions the one that mixes fastest is taken.
    """

    name: Literal["matcha"] = "matcha"
    title: ClassVar[str] = "MATCHA"
    budget: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Expected share of the matchings that are switched on in a step."""

    @override
    def needs_undirected(self, matching: Matching | None) -> bool:
        """Both ends of a link receive."""
        return True

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        generator = agents.randomness.numpy("matchings", round=step.number)
        x = agents.parameters
        x = x - rate * self.direction(agents, self.gradients(step, x))
        links = self.links(communicator, generator)
        agents.parameters = communicator.mix(x, "models", links)

    def links(self, communicator: Communicator, generator: numpy.random.Generator) -> numpy.ndarray:
        """The mixing matrix I - alpha sum_j B_j L_j, with B_j drawn, over those links that are in use.

        It is planned for all links of the graph, once: where some fail, or take turns, the others keep the
        probability and the weight of the plan.
        """
        parts, probabilities, alpha = plan(tuple(communicator.all_edges()), communicator.agents, self.budget)
        in_use = set(communicator.edges())
        matrix = numpy.eye(communicator.agents)
        for matching, active in zip(parts, generator.random(len(parts)) < probabilities, strict=True):
            for i, j in in_use.intersection(matching) if active else ():
                matrix[i, j] = matrix[j, i] = alpha
                matrix[i, i] -= alpha
                matrix[j, j] -= alpha
        return matrix
