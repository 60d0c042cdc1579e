"""CGA: cross-gradient aggregation (Esfandiari, Tan, Jiang, Balu, Herron, Hegde and Sarkar 2021)."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.state import Kept, PerAgent, PerLink
from dimat.communication.communicator import Communicator, Link
from dimat.communication.compression.signs import compress, decompress
from dimat.communication.product import weighted_sum
from dimat.merging.matching.options import Matching
from dimat.methods.every_step import Synchronous, with_decay
from dimat.methods.momentum import velocity
from dimat.methods.projection import Constrained, project, project_each


class Cga(Synchronous):
    """Step along a direction that no neighbour's loss objects to, then average.

    Every agent j returns to neighbour i the gradient of its own loss at x_i. Agent i projects its gradient g
    to g + A^T v, v >= 0, with these gradients and its own in the rows of A: the nearest vector whose inner
    product with none of them is negative. With U the projections: V <- momentum V - rate U, X <- W X + V.

    That is the paper's. The published code asks for v >= `margin` 0.5, so that every direction has a part of
    all gradients, multiplies each by its mixing weight (`weighted`), and projects each tensor by itself
    (`per_layer`); momentum is `nesterov`'s. Compressed, its gradients have a scale for each layer (`scales`)
    and an agent's own is compressed as well (`own_compressed`).
    """

    name: Literal["cga"] = "cga"
    title: ClassVar[str] = "CGA"
    every_link: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (
        PerAgent("velocity"),
        PerAgent("own lost"),
        PerLink("lost", frame="other"),
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay of the velocity."""
    nesterov: bool = False
    """Momentum in the form of the published code, as of CDMSGD."""
    margin: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Least weight of every gradient in the projection: 0 in the paper, 0.5 in the published code."""
    weighted: bool = False
    """Whether gradients are multiplied by their mixing weights before the projection, as in the published
    code."""
    per_layer: bool = False
    """Whether each tensor is projected by itself, as in the published code, or all at once."""
    compressed: bool = False
    """CompCGA: cross-gradients are sent as signs and a scale; what is lost is made up for in the next."""
    scales: Literal["whole", "layer"] = "whole"
    """Scales of a compressed gradient: one for the whole of it, or one for each layer (published code)."""
    own_compressed: bool = False
    """Whether an agent's own gradient, which is not sent, is compressed like the others (published code)."""

    @model_validator(mode="after")
    def _options_have_an_effect(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov is a form of momentum; expected momentum above 0 beside it")
        if (self.scales != "whole" or self.own_compressed) and not self.compressed:
            raise ValueError("scales and own_compressed say how to compress; expected compressed: true")
        return self

    @override
    def needs_undirected(self, matching: Matching | None) -> bool:
        """Gradients go back to where the networks came from."""
        return True

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        gradients = self.gradients(step, x)
        received = communicator.send_to_receivers(list(x), "models")
        answers = {
            (agent, asker): with_decay(
                agents.gradient(row, step.samples[row], point, own=False), self.weight_decay, point
            )
            for row, agent in enumerate(agents.local_agents)
            for asker, point in received[row].items()
        }
        crossed = self.sent_back(agents, communicator, answers)
        if self.own_compressed:
            gradients = self.as_if_sent(agents, gradients)

        constraints = []
        for row, agent in enumerate(agents.local_agents):
            near = {agent: gradients[row]} | {
                source: answer for (source, to), answer in sorted(crossed.items()) if to == agent
            }
            if self.weighted:
                near = {j: communicator.mixing[agent, j] * gradient for j, gradient in near.items()}
            constraints.append(list(near.values()))
        targets = torch.stack([own for own, *_ in constraints])
        projected = self.projected(agents, targets, constraints)

        kept = agents.state["velocity"]
        agents.state["velocity"], move = velocity(kept, projected, rate, self.momentum, self.nesterov)
        averaged = [
            weighted_sum(received[row] | {agent: x[row]}, communicator.mixing[agent])
            for row, agent in enumerate(agents.local_agents)
        ]
        agents.parameters = torch.stack(averaged) + move

    def projected(self, agents: Agents, targets: Tensor, constraints: Sequence[Sequence[Tensor]]) -> Tensor:
        """`project`, of everything or of each tensor by itself."""
        if not self.per_layer:
            return project(targets, constraints, self.margin)
        parts = [[vector.split(agents.sizes) for vector in vectors] for vectors in constraints]
        problems = [
            Constrained(target, [[split[place] for split in vectors] for vectors in parts])
            for place, target in enumerate(targets.split(agents.sizes, dim=1))
        ]
        return torch.cat(project_each(problems, self.margin), dim=1)

    def sent_back(
        self, agents: Agents, communicator: Communicator, answers: dict[Link, Tensor]
    ) -> dict[Link, Tensor]:
        """Cross-gradients (d,), by (from, to), as they arrive."""
        if not self.compressed:
            return communicator.send(answers, "gradients")
        packed = {}
        sizes = self.parts(agents)
        for link, gradient in answers.items():
            lost = agents.state["lost", link]
            packed[link] = compress(gradient + lost, sizes)
            agents.state["lost", link] = lost + (gradient - decompress(packed[link], sizes, gradient))
        arrived = communicator.send(packed, "gradients")
        like = agents.parameters[0]
        return {link: decompress(message, sizes, like) for link, message in arrived.items()}

    def as_if_sent(self, agents: Agents, gradients: Tensor) -> Tensor:
        """Agents' own ``gradients`` (n, d), as a neighbour would have received them."""
        sizes = self.parts(agents)
        lost = agents.state["own lost"]
        kept = torch.stack([decompress(compress(row, sizes), sizes, row) for row in gradients + lost])
        agents.state["own lost"] = lost + (gradients - kept)
        return kept

    def parts(self, agents: Agents) -> list[int]:
        """Sizes of the parts of a gradient that have a scale of their own."""
        return agents.sizes if self.scales == "layer" else [sum(agents.sizes)]
