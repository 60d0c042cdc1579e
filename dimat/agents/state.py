"""What a method keeps from step to step: named blocks for each agent, and for each of its directed links.

A method declares its blocks once (`Method.keeps`). They are checkpointed, resumed and sent between processes
like parameters; those that live in the space of parameters follow these when neurons are re-ordered.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Link = tuple[int, int]


@dataclass(frozen=True)
class PerAgent:
    """A block of each agent: a vector like its parameters, or one ``number`` (float64). Zero at first.

    A number may be ``recorded`` under its name, wherever agents are measured.
    """

    name: str
    shape: Literal["parameters", "number"] = "parameters"
    recorded: bool = False


@dataclass(frozen=True)
class PerLink:
    """A block like the parameters for each link (i, j), kept by agent i. Zero at first.

    Its entries stand in the order of i's own neurons, or of the other end's, j's (``frame``).
    """

    name: str
    frame: Literal["own", "other"] = "own"


Kept = PerAgent | PerLink
Reorder = Callable[[Tensor], Tensor]
"""Brings a vector (d,) in the order of an agent's parameters to its new order."""


class State:
    """The blocks of the agents in this process.

    ``state[name]`` is (n, d) or (n, 1), a row for each of ``local_agents``; ``state[name, (i, j)]`` is (d,).
    A block that is read before it was written is zero; one that was not declared is a KeyError.
    """

    def __init__(self, local_agents: Sequence[int], like: Callable[[], Tensor]) -> None:
        self.local_agents = list(local_agents)
        self._like = like
        self._declared: dict[str, Kept] = {}
        self._of_agents: dict[str, Tensor] = {}
        self._of_links: dict[tuple[str, Link], Tensor] = {}

    def declare(self, blocks: Sequence[Kept]) -> None:
        """Say which blocks there are; a second time changes nothing."""
        self._declared |= {block.name: block for block in blocks}

    def __getitem__(self, key: str | tuple[str, Link]) -> Tensor:
        if isinstance(key, str):
            if key not in self._of_agents:
                like = self._like()
                number = self._agent_block(key).shape == "number"
                size, dtype = (1, torch.float64) if number else (like.shape[1], like.dtype)
                self._of_agents[key] = torch.zeros(len(like), size, dtype=dtype, device=like.device)
            return self._of_agents[key]
        if key not in self._of_links:
            self._check_link(key)
            self._of_links[key] = torch.zeros_like(self._like()[0])
        return self._of_links[key]

    def __setitem__(self, key: str | tuple[str, Link], value: Tensor) -> None:
        if isinstance(key, str):
            self._agent_block(key)
            self._of_agents[key] = value
        else:
            self._check_link(key)
            self._of_links[key] = value

    def _agent_block(self, name: str) -> PerAgent:
        block = self._declared[name]
        if not isinstance(block, PerAgent):
            raise KeyError(f"{name} is kept for each link; expected it with a link")
        return block

    def _check_link(self, key: tuple[str, Link]) -> None:
        name, (keeper, _) = key
        if not isinstance(self._declared[name], PerLink):
            raise KeyError(f"{name} is kept for each agent; expected it without a link")
        if keeper not in self.local_agents:
            raise KeyError(f"{name}: agent {keeper}, who keeps it, lives in another process")

    def recorded(self, row: int) -> dict[str, float]:
        """The numbers of an agent that are recorded and were written, by name."""
        return {
            name: rows[row].item()
            for name, rows in self._of_agents.items()
            if self._agent_block(name).recorded
        }

    def reorder(self, agent: int, reorder: Reorder) -> None:
        """Let the blocks in the space of ``agent``'s parameters follow a new order of these.

        That are its own, and those that agents of this process keep in its order.
        """
        for name, rows in self._of_agents.items():
            if self._agent_block(name).shape == "parameters" and agent in self.local_agents:
                row = self.local_agents.index(agent)
                rows[row] = reorder(rows[row])
        for (name, link), vector in self._of_links.items():
            block = self._declared[name]
            assert isinstance(block, PerLink)
            if link[block.frame == "other"] == agent:
                self._of_links[name, link] = reorder(vector)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Everything that was written, by names that say whose it is."""
        for name, rows in self._of_agents.items():
            for row, agent in enumerate(self.local_agents):
                yield f"{agent}/state/{name}", rows[row]
        for (name, (i, j)), vector in self._of_links.items():
            yield f"{i}/link/{j}/{name}", vector

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `tensors` gave, of these agents and, possibly, others."""
        rows: dict[str, dict[int, Tensor]] = {}
        self._of_agents, self._of_links = {}, {}
        device = self._like().device
        for key, tensor in tensors.items():
            agent, kind, rest = key.split("/", 2)
            if int(agent) not in self.local_agents:
                continue
            if kind == "state":
                rows.setdefault(rest, {})[int(agent)] = tensor.to(device)
            elif kind == "link":
                other, name = rest.split("/", 1)
                self._of_links[name, (int(agent), int(other))] = tensor.to(device)
        self._of_agents = {
            name: torch.stack([of_agent[agent] for agent in self.local_agents])
            for name, of_agent in rows.items()
        }
