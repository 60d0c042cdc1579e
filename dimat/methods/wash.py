"""WASH: a few weights are shuffled among agents (Fournier and others 2024, arXiv 2405.17517)."""

from collections.abc import Iterable
from itertools import groupby
from typing import Annotated, ClassVar, Literal

import numpy
import torch
from pydantic import Field
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import LocalMomentum


class Wash(LocalMomentum):
    """Step, then permute each of a few entries among all agents, at random, so that nothing is averaged.

    All agents draw the same entries and permutations, so that values alone are sent. On the complete graph it
    is as published; on others an entry stays where it is if its permutation needs a link that is not there.
    """

    name: Literal["wash"] = "wash"
    title: ClassVar[str] = "WASH"
    sparing: ClassVar[bool] = True
    probability: Annotated[float, Field(gt=0, le=1)] = 0.001
    """With which an entry is shuffled in a step; in the first layer, where it falls."""
    by_layer: Literal["falling", "constant"] = "falling"
    """Whether the probability falls, layer by layer along a line, to 0 in the last (published), or is that of
    the first in all."""

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        x = x - rate * self.direction(agents, self.gradients(step, x))
        generator = agents.randomness.numpy("shuffled", round=step.number)
        entries, sources = self.shuffled(agents, communicator, generator)
        local, everyone = agents.local_agents, range(agents.agents)
        links = [(j, i) for j in everyone for i in everyone if i != j and (i in local or j in local)]
        moved = {(j, i): entries[sources[:, i] == j] for j, i in links}
        moved = {link: places for link, places in moved.items() if len(places)}
        if moved:
            flat = torch.from_numpy(numpy.concatenate(list(moved.values())))
            parts = flat.to(x.device, non_blocking=True).split([len(places) for places in moved.values()])
            places = dict(zip(moved, parts, strict=True))
            rows = {agent: row for row, agent in enumerate(local)}
            messages = {(j, i): x[rows[j]][where] for (j, i), where in places.items() if j in rows}
            for (j, i), values in communicator.send(messages, "models").items():
                x[rows[i]].index_copy_(0, places[j, i], values)
        agents.parameters = x

    def shuffled(
        self, agents: Agents, communicator: Communicator, generator: numpy.random.Generator
    ) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Entries (k,) that are shuffled, and from which agent each agent has them next (k, N)."""
        layers = layer_of(agents.shapes)
        last = max(layers)
        falling = self.by_layer == "falling" and last
        each = [self.probability * (1 - layer / last if falling else 1) for layer in layers]
        probabilities = numpy.repeat(each, agents.sizes)
        (entries,) = numpy.nonzero(generator.random(len(probabilities)) < probabilities)
        everyone = numpy.arange(communicator.agents)
        sources = generator.permuted(numpy.tile(everyone, (len(entries), 1)), axis=1)
        there = (communicator.mixing > 0) | numpy.eye(communicator.agents, dtype=bool)
        possible = there[everyone, sources].all(axis=1)
        return entries[possible], sources[possible]


def layer_of(names: Iterable[str]) -> list[int]:
    """The layer, from 0, of each tensor of a network, by its name: those of one module are one layer."""
    modules = groupby(names, lambda name: name.rpartition(".")[0] or name)
    return [layer for layer, (_, tensors) in enumerate(modules) for _ in tensors]
