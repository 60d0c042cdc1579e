"""DOT-ADMM: ADMM over links that lose messages (Bastianello, Deplano, Franceschelli and Johansson 2025)."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents
from dimat.agents.state import Kept, PerLink
from dimat.communication.communicator import Communicator, Link
from dimat.merging.matching.options import Matching
from dimat.methods.every_step import EveryStep, with_decay


class DotAdmm(EveryStep):
    """Relaxed ADMM, in which what a lost message would have changed stays as it was.

    Agent i keeps z_ij for each of its d_i neighbours j. With rho the ``penalty`` and alpha the
    ``relaxation``, at each communication it

    - lowers f_i(x) + rho d_i |x|^2 / 2 - <x, sum_j z_ij>, from its own x_i on, by ``local_steps`` steps;
    - sends 2 rho x_i - z_ij to j, which sets z_ji <- (1 - alpha) z_ji + alpha (2 rho x_i - z_ij).

    An agent that no link reaches sleeps: it takes no steps. With convex losses and gradients without noise,
    at rest all x_i are the minimizer x* of the sum of all losses, and z_ij + z_ji = 2 rho x*, however few the
    steps. At first z_ij = rho x_i, so that agents are held to where they start, not to 0.

    A round has as many steps as with other methods, up to those that do not fill a communication's.
    """

    name: Literal["dot_admm"] = "dot_admm"
    title: ClassVar[str] = "DOT-ADMM"
    column_stochastic: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (PerLink("z"),)
    penalty: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """rho: an agent with d neighbours is held to what it has heard by rho d / 2 times the squared distance.
    It changes how fast agents get to the minimizer, and not where they get."""
    relaxation: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """alpha: how far a message that arrives moves z."""
    local_steps: Annotated[int, Field(ge=1)] = 5
    """Gradient steps of an agent before each communication."""

    @override
    def needs_undirected(self, matching: Matching | None) -> bool:
        """Both ends of a link keep what the other one sends."""
        return True

    @override
    def learn(self, agents: Agents, communicator: Communicator, round: int) -> None:
        agents.state.declare(self.keeps)
        near = [communicator.neighbours(agent) for agent in agents.local_agents]
        if round == 1:
            for agent, x, others in zip(agents.local_agents, agents.parameters, near, strict=True):
                for other in others:
                    agents.state["z", (agent, other)] = self.penalty * x
        samples = [agents.samples(row, round) for row in range(len(near))]
        steps = agents.epochs * agents.steps_per_epoch
        before, after = (rounds * steps // self.local_steps for rounds in (round - 1, round))
        for communication in range(before, after):
            communicator.advance()
            sent: dict[Link, Tensor] = {}
            x = agents.parameters
            for row, agent in enumerate(agents.local_agents):
                receivers = communicator.receivers(agent)
                if near[row] and not (receivers or communicator.senders(agent)):
                    continue  # asleep
                z = {other: agents.state["z", (agent, other)] for other in near[row]}
                x[row] = self.lowered(agents, row, samples[row], communication, x[row], list(z.values()))
                sent |= {(agent, other): 2 * self.penalty * x[row] - z[other] for other in receivers}
            agents.parameters = x
            for (sender, agent), message in communicator.send(sent, "models").items():
                kept = agents.state["z", (agent, sender)]
                agents.state["z", (agent, sender)] = kept + self.relaxation * (message - kept)

    def lowered(
        self,
        agents: Agents,
        row: int,
        samples: Iterator[Any],
        communication: int,
        point: Tensor,
        z: Sequence[Tensor],
    ) -> Tensor:
        """Where the gradient steps of an agent before a ``communication`` lead from a ``point`` (d,).

        They are along the gradient of f_i(x) + rho d_i |x|^2 / 2 - <x, sum of ``z``>.
        """
        pull = sum(z, torch.zeros_like(point))
        for number in range(communication * self.local_steps, (communication + 1) * self.local_steps):
            agents.frozen = self.normalization == "frozen" and number >= agents.steps_per_epoch
            gradient = agents.gradient(row, next(samples), point)
            gradient = with_decay(gradient, self.weight_decay + self.penalty * len(z), point) - pull
            point = point - self.rate_at(number, agents.steps_per_epoch) * gradient
            agents.steps_taken[row] += 1
        return point
