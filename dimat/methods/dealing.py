"""Who gets which units of whose variables: hidden channels, dealt among those who are linked."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy
import torch
from torch import Tensor

from dimat.agents.agents import Agents
from dimat.communication.communicator import Communicator
from dimat.errors import InputError


class Place(NamedTuple):
    """An agent's place in a neighbourhood: it comes after ``before`` others of ``members`` in all."""

    before: int
    members: int


class Deal:
    """One deal of all units. Every agent draws the same one, so that nobody need say who has which.

    The agents are put in a random order, and so are the units of each group (see `Agents.units`). Of the
    variables of an owner, each member of its closed neighbourhood (itself, and those who send to it) has one
    block of every group: as many equal parts of the order as there are members. Blocks hang on places alone:
    where all agents have the same neighbourhood, an agent's block is the same whoever the owner is.
    """

    def __init__(self, agents: Agents, communicator: Communicator, generator: numpy.random.Generator) -> None:
        self._agents, self._communicator = agents, communicator
        self._rank = generator.permutation(agents.agents)
        self.orders = {group.name: generator.permutation(group.size) for group in agents.units}
        self._shared = agents.slice({})
        self._entries: dict[Place, Tensor] = {}
        self._like = agents.parameters[0]

    @property
    def shared(self) -> int:
        """How many entries belong to no unit, so that every slice has them."""
        return int(self._shared.sum())

    def place(self, agent: int, owner: int) -> Place:
        """The place of ``agent`` in the neighbourhood of ``owner``."""
        members = sorted([owner, *self._communicator.senders(owner)], key=lambda each: self._rank[each])
        return Place(members.index(agent), len(members))

    def entries(self, place: Place) -> Tensor:
        """Entries of parameters in the slice at a ``place``: those that all slices share, then its block.

        `InputError` if there is nothing to be had at some place.
        """
        if place not in self._entries:
            check_blocks(place.members, map(len, self.orders.values()))
            kept = {
                name: torch.from_numpy(numpy.array_split(order, place.members)[place.before])
                for name, order in self.orders.items()
            }
            block = self._agents.slice(kept) & ~self._shared
            found = torch.cat([self._shared.nonzero(), block.nonzero()]).flatten()
            self._entries[place] = found.to(self._like.device, non_blocking=True)
        return self._entries[place]

    def mask(self, place: Place) -> Tensor:
        """1 (d,) at the entries of the slice at a ``place``, else 0."""
        return torch.zeros_like(self._like).index_fill_(0, self.entries(place), 1)


def check_blocks(members: int, sizes: Iterable[int]) -> None:
    """`InputError` if one of so many ``members`` of a neighbourhood would get no unit of a group.

    ``sizes`` are how many units each group has.
    """
    smallest = min(sizes, default=members)
    if members > smallest:
        raise InputError(
            f"agents: {members} in a neighbourhood are too many to deal out {smallest} hidden channels of a "
            "group among them; expected fewer agents or neighbours, or a wider model"
        )
