"""Teleportation: few work at a time, on models that hop (Takezawa and Stich 2025, arXiv 2501.15259)."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy
import torch
from pydantic import Field, model_validator
from typing_extensions import override

from dimat.agents.agents import Agents
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.errors import InputError
from dimat.methods.every_step import EveryStep, with_decay
from dimat.methods.momentum import OwnMomentum
from dimat.topology import AnyGraph, Ring
from dimat.topology.failures import without

Holders = list[int]
"""Who holds model 0, 1, ..., of the models that hop."""


class Teleportation(OwnMomentum, EveryStep):
    """A few models hop to agents at random, learn from their samples, and are averaged over a small graph.

    In a round, agents take as many steps on average as with other methods, not each of them. An agent that is
    not active keeps what it last had, and is evaluated with that. Running sums of momentum hop with their
    model. A model stays where it is if the link that it would take has failed, or if another stays in its
    place.
    """

    name: Literal["teleportation"] = "teleportation"
    title: ClassVar[str] = "Teleportation"
    keeps: ClassVar[tuple[Kept, ...]] = (*OwnMomentum.keeps, PerAgent("model", "number"))
    active: Annotated[int, Field(ge=1, le=10**6)] = 2
    """How many agents are active in a step, with a model each: the fewer, the faster these agree."""
    topology: AnyGraph = Ring()
    """Over which active agents average, in the order of the models that they hold."""

    @model_validator(mode="after")
    def _nothing_fails_by_itself(self) -> Self:
        if self.topology.fails or self.topology.churn or self.topology.delays:
            raise ValueError("topology: what fails are links of graph; expected no failures, churn or delays")
        return self

    @override
    def check_graph(self, whole: numpy.ndarray) -> None:
        if not (whole > 0).all():
            raise InputError("method teleportation: models hop to any agent; expected graph: complete")
        if self.active > len(whole):
            raise InputError(
                f"method teleportation: active {self.active}; expected at most {len(whole)} agents"
            )
        try:
            doubly_stochastic = self.topology.doubly_stochastic(self.active)
        except InputError as error:
            raise InputError(f"method teleportation: topology of active agents: {error}") from None
        if not doubly_stochastic:
            raise InputError(
                f"method teleportation: topology {self.topology.label()} has weights that favour some; "
                "expected doubly stochastic ones"
            )

    @override
    def learn(self, agents: Agents, communicator: Communicator, round: int) -> None:
        agents.state.declare(self.keeps)
        samples = [agents.samples(row, round) for row in range(len(agents.local_agents))]
        holders = self._holders(agents, communicator)
        steps = agents.epochs * agents.steps_per_epoch * agents.agents
        x, sums = agents.parameters, agents.state["momentum"]
        for time in range((round - 1) * steps // self.active, round * steps // self.active):
            communicator.advance()
            # 1. Hop to agents drawn at random, from those before.
            drawn = agents.randomness.numpy("active", round=time).permutation(agents.agents)
            before, holders = holders, hop(holders, drawn[: self.active].tolist(), communicator.mixing)
            went = numpy.eye(agents.agents)
            went[holders] = 0
            went[holders, before or holders] = 1
            moving = torch.cat([x, sums], dim=1) if self.momentum else x
            x, *kept = communicator.mix(moving, "models", went).split(x.shape[1], dim=1)
            sums = kept[0] if kept else sums
            # 2. Step along the gradient of whoever holds the model now.
            number = time * self.active // agents.agents
            agents.frozen = self.normalization == "frozen" and number >= agents.steps_per_epoch
            rate = self.rate_at(number, agents.steps_per_epoch)
            for row, agent in enumerate(agents.local_agents):
                if agent in holders:
                    gradient = agents.gradient(row, next(samples[row]), x[row])
                    gradient = with_decay(gradient, self.weight_decay, x[row])
                    sums[row] = self.momentum * sums[row] + gradient
                    x[row] -= rate * self.ahead(gradient, sums[row])
                    agents.steps_taken[row] += 1
            # 3. Average with those next in the small graph.
            small = numpy.eye(agents.agents)
            mixing = self.topology.mixing_at(self.active, time, agents.randomness)
            small[numpy.ix_(holders, holders)] = mixing
            x = communicator.mix(x, "models", without(small, communicator.mixing == 0))
        agents.parameters, agents.state["momentum"] = x, sums
        models = {agent: model + 1 for model, agent in enumerate(holders)}
        held = torch.tensor([[models.get(agent, 0)] for agent in agents.local_agents], dtype=torch.float64)
        agents.state["model"] = held.to(agents.state["model"].device, non_blocking=True)

    def _holders(self, agents: Agents, communicator: Communicator) -> Holders:
        """Who held the models last, which all agents can tell; nobody at first."""
        own = dict(zip(agents.local_agents, agents.state["model"].flatten().tolist(), strict=True))
        models = {int(model): agent for agent, model in communicator.collect(own).items() if model}
        return [models[model] for model in sorted(models)]


def hop(holders: Sequence[int], drawn: Sequence[int], mixing: numpy.ndarray) -> Holders:
    """Who holds each model after hops to those ``drawn``; at first there are no ``holders``, and no hops.

    A model stays where ``mixing`` (N, N) has no link for it, and where another stays in its place.
    """
    if not holders:
        return list(drawn)
    after = list(drawn)
    while stuck := [
        model
        for model, (old, new) in enumerate(zip(holders, after, strict=True))
        if old != new and (mixing[new, old] == 0 or after.count(new) > 1)
    ]:
        for model in stuck:
            after[model] = holders[model]
    return after
