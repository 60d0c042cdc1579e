"""SPARTA: a few parameters are averaged at every step (Reed and EXO Labs 2025)."""

from typing import ClassVar, Literal

import torch
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.communication.communicator import Communicator
from dimat.communication.compression.sparse import Share, entries
from dimat.methods.every_step import LocalMomentum


class Sparta(LocalMomentum):
    """Step, then average a random share of the entries with the neighbours; all others stay an agent's own.

    All agents draw the same entries, so that values alone are sent. On the complete graph they become the
    mean of all, as published.
    """

    name: Literal["sparta"] = "sparta"
    title: ClassVar[str] = "SPARTA"
    sparing: ClassVar[bool] = True
    share: Share = 0.005
    """Share of the parameters that is averaged in a step, at least one."""

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        x = x - rate * self.direction(agents, self.gradients(step, x))
        generator = agents.randomness.numpy("entries", round=step.number)
        size = x.shape[1]
        drawn = generator.choice(size, entries(self.share, size), replace=False, shuffle=False)
        chosen = torch.from_numpy(drawn).to(x.device, non_blocking=True)
        agents.parameters = x.index_copy_(1, chosen, communicator.mix(x[:, chosen], "models"))
