"""sI-ADMM and csI-ADMM: a token walks from agent to agent (Chen, Ye, Xiao, Skoglund and Poor 2021)."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy
from pydantic import Field, model_validator
from typing_extensions import override

from dimat.agents.agents import Agents
from dimat.agents.schedule import Rate
from dimat.agents.state import Kept, PerAgent
from dimat.agents.training import Training
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import EveryStep, with_decay
from dimat.methods.gradient_codes import AnyCode
from dimat.spec import Many
from dimat.topology.walk import check_walk, closed_walk


class CodedAdmm(EveryStep):
    """One agent at a time takes a step and passes a token z on, over one link of a closed walk.

    Agent i keeps x_i and a multiplier y_i. With rho the ``penalty``, gamma the ``dual_step``, G_i its
    gradient at x_i for a batch, and rho + tau = 1 / rate, the agent that has the token sets

    - x_i' = (tau x_i + rho z + y_i - G_i) / (rho + tau) = x_i - rate (G_i - y_i + rho (x_i - z)),
    - y_i' = y_i + rho gamma (z - x_i'),
    - z' = z + (x_i' - x_i) / n - (y_i' - y_i) / (n rho), so that z = mean(x_i - y_i / rho) at all times.

    At rest z and all x_i are the minimizer x* of the sum of all losses, and y_i is the gradient of f_i there.
    As G_i stands for f_i in its whole neighbourhood, x_i diverges where rho + tau is below a limit: half the
    largest curvature of a loss where tau is most of it, as in any gradient step, up to twice where rho is.

    At first y_i = 0, and the token collects the mean of all x_i on a lap before the first step. In a round,
    agents take as many steps on average as with other methods. Where a link has failed, the token waits.

    With a ``code``, nodes of each agent compute its gradient (csI-ADMM). What is decoded is the gradient of
    the batch, whoever is late, so that a code changes nothing but the time of a step: how long agents have
    waited for their nodes is recorded. Let `training.batch_size` be divided by S + 1 to have nodes do the
    same work with all codes.
    """

    name: Literal["coded_admm"] = "coded_admm"
    title: ClassVar[str] = "sI-ADMM"
    column_stochastic: ClassVar[bool] = True
    takes_turns: ClassVar[bool] = True
    keeps: ClassVar[tuple[Kept, ...]] = (
        PerAgent("multipliers"),
        PerAgent("token"),
        PerAgent("waited", "number", recorded=True),
    )
    learning_rate: Rate = 0.01
    """1 / (rho + tau): step size. That of trials of tuning scales rho and tau alike."""
    penalty: Annotated[float, Field(gt=0, le=1e6)] = 10.0
    """rho: how strongly an agent is held to the token."""
    dual_step: Annotated[float, Field(gt=0, le=2)] = 1.0
    """gamma: how far a multiplier moves, in units of rho."""
    growth: Literal["none", "sqrt"] = "none"
    """Whether, at step k = 1, 2, ... of the token, tau and 1 / gamma are multiplied by the root of k. With
    gradients of batches, the error then goes on falling; without it stays at a level."""
    walk: Annotated[Many[int], Field(min_length=1)] | None = None
    """Agents in the order in which the token comes to them, again and again; null is a short closed walk."""
    code: AnyCode | None = None
    """Nodes of each agent and how their answers are coded; null has one node, which is never late."""

    @model_validator(mode="after")
    def _tau_is_not_negative(self) -> Self:
        if self.penalty * self.learning_rate > 1 + 1e-9:
            raise ValueError(
                f"penalty: {self.penalty:g} is more than rho + tau = 1 / learning_rate = "
                f"{1 / self.learning_rate:g}; expected no more"
            )
        return self

    @override
    def with_rate(self, rate: float, training: Training) -> Self:
        penalty = self.penalty * self.learning_rate / rate
        return self.model_copy(update={"learning_rate": rate, "penalty": penalty})

    @override
    def check_graph(self, whole: numpy.ndarray) -> None:
        if self.walk is not None:
            check_walk(self.walk, whole)

    @override
    def learn(self, agents: Agents, communicator: Communicator, round: int) -> None:
        agents.state.declare(self.keeps)
        walk = self.walk or closed_walk(communicator.whole)
        epoch = agents.steps_per_epoch * agents.agents
        steps = range((round - 1) * agents.epochs * epoch, round * agents.epochs * epoch)
        if not steps.start:
            self.collect(agents, communicator, walk)
        rows = {agent: row for row, agent in enumerate(agents.local_agents)}
        samples = [agents.samples(row, round) for row in rows.values()]
        x, y, z = agents.parameters, agents.state["multipliers"], agents.state["token"]
        waits = self.waits(agents, round, len(steps))
        for step, wait in zip(steps, waits, strict=True):
            if (row := rows.get(walk[step % len(walk)])) is not None:
                agents.frozen = self.normalization == "frozen" and step >= epoch
                gradient = agents.gradient(row, next(samples[row]), x[row])
                gradient = with_decay(gradient, self.weight_decay, x[row])
                rate, dual_step = self.sizes(step, epoch)
                held = x[row] - y[row] / self.penalty
                x[row] -= rate * (gradient - y[row] + self.penalty * (x[row] - z[row]))
                y[row] += self.penalty * dual_step * (z[row] - x[row])
                z[row] += (x[row] - y[row] / self.penalty - held) / agents.agents
                agents.steps_taken[row] += 1
                if self.code:
                    agents.state["waited"][row] += wait
            pass_on(agents, communicator, walk, step)
        agents.parameters = x

    def collect(self, agents: Agents, communicator: Communicator, walk: Sequence[int]) -> None:
        """The mean of where agents start, on a lap of the token."""
        for place, agent in enumerate(walk):
            if agent in agents.local_agents and agent not in walk[:place]:
                row = agents.local_agents.index(agent)
                agents.state["token"][row] += agents.parameters[row] / agents.agents
            pass_on(agents, communicator, walk, place)

    def sizes(self, step: int, steps_per_epoch: int) -> tuple[float, float]:
        """1 / (rho + tau) and gamma at a step, counted from 0."""
        rate = self.rate_at(step, steps_per_epoch)
        if self.growth == "none":
            return rate, self.dual_step
        root = math.sqrt(step + 1)
        return 1 / (self.penalty + (1 / rate - self.penalty) * root), self.dual_step / root

    def waits(self, agents: Agents, round: int, steps: int) -> list[float]:
        """How long the nodes of an agent are waited for at each of the ``steps`` of a round.

        The unit is the mean of their delays, which are exponential.
        """
        if self.code is None:
            return [0.0] * steps
        generator = agents.randomness.numpy("delays", round=round)
        return self.code.waits(generator.exponential(size=(steps, self.code.nodes))).tolist()


def pass_on(agents: Agents, communicator: Communicator, walk: Sequence[int], step: int) -> None:
    """Hand the token on to the next agent of a ``walk`` around which it has gone so many ``step``s."""
    holder, following = (walk[place % len(walk)] for place in (step, step + 1))
    if holder == following:
        return  # there is but one
    communicator.advance()
    while holder not in communicator.senders(following):
        communicator.advance()
    tokens, sent = agents.state["token"], {}
    if holder in agents.local_agents:
        sent[holder, following] = tokens[agents.local_agents.index(holder)].clone()
    for token in communicator.send(sent, "token").values():
        tokens[agents.local_agents.index(following)] = token
