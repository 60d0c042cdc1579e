"""An agent that harms the others by what it sends: noise, or its own network in another order.

What an attacker sends is what it has: right before each communication it changes its own parameters.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field
from typing_extensions import override

from dimat.errors import InputError
from dimat.models.groups import random_permutations
from dimat.spec import OneOf, Spec

if TYPE_CHECKING:
    from dimat.agents.agents import Agents


class Attack(Spec):
    """One agent that is not honest. Its scores are not recorded, nor is it counted in those of all agents."""

    agent: Annotated[int, Field(ge=0, le=999)] = 0
    """The agent that attacks; its scores are not recorded."""

    @abstractmethod
    def strike(self, agents: "Agents", time: int) -> None:
        """Change the attacker before communication number ``time``, counted from 1.

        Every process calls it, whoever lives there. What it draws hangs on the time alone.
        """


class Noise(Attack):
    """Normally distributed parameters instead of what was learnt, anew before each communication.

    Running statistics stay as they are. A method that steps before it sends, sends what is a step from there.
    """

    name: Literal["noise"] = "noise"
    scale: Annotated[float, Field(gt=0, le=1e3)] = 0.1
    """Standard deviation of each parameter."""

    @override
    def strike(self, agents: "Agents", time: int) -> None:
        if self.agent not in agents.local_agents:
            return
        values = agents.parameters
        generator = agents.randomness.torch("attack", agent=self.agent, round=time)
        drawn = self.scale * torch.randn(values.shape[1], generator=generator, dtype=torch.float64)
        values[agents.local_agents.index(self.agent)] = drawn.to(values)
        agents.parameters = values


class Permuted(Attack):
    """The attacker's own network with hidden channels in another order, drawn anew before each communication.

    It is a random element of the network's own symmetry group: the function stays the same, and the attacker
    trains on as it would. Who matches neurons is not harmed, and who averages in place is.
    """

    name: Literal["permuted"] = "permuted"

    @override
    def strike(self, agents: "Agents", time: int) -> None:
        groups = agents.symmetry
        if not groups:
            raise InputError(
                "attack: 'permuted' exchanges hidden channels, and this model has none; expected 'noise'"
            )
        generator = agents.randomness.torch("attack", agent=self.agent, round=time)
        agents.reorder(self.agent, random_permutations(groups, generator))


AnyAttack = Annotated[Noise | Permuted, OneOf()]
