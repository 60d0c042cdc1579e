"""CGA: cross-gradient aggregation (Esfandiari, Tan, Jiang, Balu, Herron, Hegde and Sarkar 2021)."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.state import Kept, PerAgent, PerLink
from dimat.communication.communicator import Communicator, Link
from dimat.communication.product import weighted_sum
from dimat.merging.matching.options import Matching
from dimat.methods.every_step import Synchronous
from dimat.methods.sign_compression import compress, decompress


class Cga(Synchronous):
    """Step along a direction that no neighbour's loss objects to, then average.

    Every agent j returns to neighbour i the gradient of its own loss at x_i. Agent i projects its gradient to
    the nearest vector whose inner product with each of these, and with its own, is not negative. With U the
    projections: V <- momentum V - rate U, X <- W X + V.
    """

    name: Literal["cga"] = "cga"
    title: ClassVar[str] = "CGA"
    every_link: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent("velocity"), PerLink("lost", frame="other"))
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay of the velocity."""
    compressed: bool = False
    """CompCGA: cross-gradients are sent as signs and one scale; what is lost is made up for in the next."""

    @override
    def needs_undirected(self, matching: Matching | None) -> bool:
        """Gradients go back to where the networks came from."""
        return True

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        gradients = step.gradients(x)
        received = communicator.send_to_receivers(list(x), "models")
        answers = {
            (agent, asker): agents.gradient(row, step.samples[row], point, own=False)
            for row, agent in enumerate(agents.local_agents)
            for asker, point in received[row].items()
        }
        crossed = self.sent_back(agents, communicator, answers)

        constraints = [
            [own, *(answer for (_, to), answer in sorted(crossed.items()) if to == agent)]
            for agent, own in zip(agents.local_agents, gradients, strict=True)
        ]
        velocity = self.momentum * agents.state["velocity"] - rate * project(gradients, constraints)
        agents.state["velocity"] = velocity
        averaged = [
            weighted_sum(received[row] | {agent: x[row]}, communicator.mixing[agent])
            for row, agent in enumerate(agents.local_agents)
        ]
        agents.parameters = torch.stack(averaged) + velocity

    def sent_back(
        self, agents: Agents, communicator: Communicator, answers: dict[Link, Tensor]
    ) -> dict[Link, Tensor]:
        """Cross-gradients (d,), by (from, to), as they arrive."""
        if not self.compressed:
            return communicator.send(answers, "gradients")
        packed = {}
        for link, gradient in answers.items():
            lost = agents.state["lost", link]
            packed[link] = compress(gradient + lost)
            agents.state["lost", link] = lost + (gradient - decompress(packed[link], gradient))
        arrived = communicator.send(packed, "gradients")
        like = next(iter(answers.values()))
        return {link: decompress(message, like) for link, message in arrived.items()}


TOLERANCE = 1e-12
"""A projection is done when the conditions of optimality hold up to this share of the norms."""
SWEEPS = 100_000


def project(gradients: Tensor, constraints: Sequence[Sequence[Tensor]]) -> Tensor:
    """The nearest vectors to ``gradients`` (n, d) with no negative inner product with their ``constraints``.

    ``constraints[i]`` are the vectors (d,) for row i. The problems are solved together, in their dual form:
    with A the constraints, g + A^T v for the v >= 0 that minimizes ||g + A^T v||^2, by exact minimization
    over one coordinate after the other (Hildreth 1957). Vectors are scaled to norm 1, which changes nothing.
    """
    most = max(map(len, constraints))
    rows = gradients.new_zeros(len(gradients), most, gradients.shape[1], dtype=torch.float64)
    for row, vectors in zip(rows, constraints, strict=True):
        row[: len(vectors)] = torch.stack(list(vectors))
    rows /= rows.norm(dim=2, keepdim=True).clamp_min(1e-300)
    targets = gradients.double()
    gram = rows @ rows.mT
    slope = (rows @ targets[:, :, None]).squeeze(2)  # of the dual objective, at v = 0
    scale = targets.norm(dim=1)
    v = torch.zeros_like(slope)
    for _ in range(SWEEPS):
        for k in range(most):
            move = (v[:, k] - slope[:, k]).clamp_min(0) - v[:, k]  # the diagonal of gram is 1
            v[:, k] += move
            slope += gram[:, :, k] * move[:, None]
        residual = (v - (v - slope).clamp_min(0)).abs().amax(1)  # 0 exactly where the conditions of KKT hold
        if bool((residual <= TOLERANCE * scale).all()):
            break
    return (targets + (v[:, None] @ rows).squeeze(1)).to(gradients.dtype)
