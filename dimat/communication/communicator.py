"""Who sends what to whom, in one program or between many; every byte is counted where it is sent."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy
import torch
from torch import Tensor

from dimat.communication.late import Late, Message
from dimat.communication.product import product, weighted_sum

Link = tuple[int, int]
"""(sender, receiver)."""


class Communicator(ABC):
    """Links between N agents, of which the ``local_agents`` live in this process.

    ``matrices`` is the mixing matrix (N, N), or gives that of communication number t = 0, 1, ...; entry
    [i, j] is the weight that i gives to what j sends. ``mixing`` is the one in use, until `advance`. Where it
    changes, ``whole`` (N, N) is positive for all links that there may be, in use or not. Where messages are
    late, ``newest_at`` says of each communication which have arrived, as `Late` has it.
    ``bytes_sent[agent, kind]`` and ``messages_sent[agent]`` count what each local agent has sent so far.
    """

    def __init__(
        self,
        matrices: numpy.ndarray | Callable[[int], numpy.ndarray],
        local_agents: Sequence[int] | None = None,
        whole: numpy.ndarray | None = None,
        newest_at: Callable[[int], numpy.ndarray] | None = None,
    ) -> None:
        self._late = None if newest_at is None else Late(newest_at)
        self._matrix_at = matrices if callable(matrices) else lambda time: matrices
        self.time = 0
        self.mixing = self._matrix_at(0)
        self._whole = whole if callable(matrices) else matrices
        self.local_agents = list(range(self.agents) if local_agents is None else local_agents)
        self.bytes_sent: Counter[tuple[int, str]] = Counter()
        self.messages_sent: Counter[int] = Counter()

    @property
    def agents(self) -> int:
        """Number of agents N."""
        return len(self.mixing)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that speaks and writes for all."""
        return 0 in self.local_agents

    @property
    def delayed(self) -> bool:
        """Whether what is mixed, and sent to all receivers, can arrive late; other messages never are."""
        return self._late is not None

    def advance(self) -> None:
        """Take up the links of the next communication."""
        self.mixing = self._matrix_at(self.time)
        self.time += 1

    def senders(self, agent: int, matrix: numpy.ndarray | None = None) -> list[int]:
        """The agents that ``agent`` receives from, without itself, in ascending order."""
        row = (self.mixing if matrix is None else matrix)[agent]
        return [other for other in range(self.agents) if other != agent and row[other] > 0]

    def receivers(self, agent: int, matrix: numpy.ndarray | None = None) -> list[int]:
        """The agents that ``agent`` sends to, without itself, in ascending order."""
        return self.senders(agent, (self.mixing if matrix is None else matrix).T)

    def edges(self) -> list[Link]:
        """Pairs (i, j), i < j, that a link in use joins in either direction."""
        return self._pairs(self.mixing)

    @property
    def whole(self) -> numpy.ndarray:
        """A matrix (N, N), positive for all links that there may be at some time; ValueError if not known."""
        if self._whole is None:
            raise ValueError("links that change do not tell which there are; expected the whole graph")
        return self._whole

    def all_edges(self) -> list[Link]:
        """Pairs (i, j), i < j, that a link joins at some time, unless it fails; ValueError if not known."""
        return self._pairs(self.whole)

    def neighbours(self, agent: int) -> list[int]:
        """The agents that one of `all_edges` joins with ``agent``, in ascending order."""
        joined = {other for edge in self.all_edges() if agent in edge for other in edge}
        return sorted(joined - {agent})

    def _pairs(self, matrix: numpy.ndarray) -> list[Link]:
        return sorted({(min(i, j), max(i, j)) for i in range(self.agents) for j in self.senders(i, matrix)})

    def mix(self, values: Tensor, kind: str, matrix: numpy.ndarray | None = None) -> Tensor:
        """W X: each agent receives its neighbours' rows of ``values`` (n, d) and takes the weighted sum.

        ``matrix`` (N, N) stands for the links in use. Where messages are late, the rows of others are the
        newest that have arrived: one communication is then one exchange.
        """
        matrix = self.mixing if matrix is None else matrix
        for row, agent in enumerate(self.local_agents):
            receivers = len(self.receivers(agent, matrix))
            self.count(agent, kind, values[row].nbytes * receivers, receivers)
        members, known = self._rows(values, matrix)
        if self._late is not None:
            rows = dict(zip(members, known, strict=True))
            sent = {i: {j: rows[j] for j in self.senders(i, matrix)} for i in self.local_agents}
            arrived = self._late.exchange(sent, self.time - 1)
            sums = [weighted_sum({**near, i: rows[i]}, matrix[i]) for i, near in arrived.items()]
            return torch.stack(sums)
        return product(matrix[numpy.ix_(self.local_agents, members)], known)

    @abstractmethod
    def _rows(self, values: Tensor, matrix: numpy.ndarray) -> tuple[list[int], Tensor]:
        """The agents whose rows the local agents need for ``matrix``, in ascending order, and those rows."""

    def send(self, messages: Mapping[Link, Message], kind: str) -> dict[Link, Any]:
        """Send one message over each link (i, j), from i to j; what arrives at the local agents, by link.

        Senders are local agents; a message is a tensor or named tensors, of any shapes. Links may be used
        against their direction, to answer. ValueError for two agents that no link in use joins.
        """
        joined = set(self.edges())
        for sender, receiver in messages:
            if (min(sender, receiver), max(sender, receiver)) not in joined:
                raise ValueError(f"agents {sender} and {receiver} have no link; expected one of {joined}")
        for (sender, _), message in messages.items():
            tensors = [message] if isinstance(message, Tensor) else message.values()
            self.count(sender, kind, sum(tensor.nbytes for tensor in tensors), 1)
        return self._deliver(messages)

    @abstractmethod
    def _deliver(self, messages: Mapping[Link, Message]) -> dict[Link, Any]:
        """Hand each message to its receiver, and take those for the local agents."""

    def send_to_receivers(self, messages: Sequence[Message], kind: str) -> list[dict[int, Any]]:
        """Send each local agent's message to all of its receivers; what each local agent gets, by sender.

        Where messages are late, that is the newest that has arrived: one communication is then one exchange.
        """
        outgoing = {
            (agent, receiver): message
            for agent, message in zip(self.local_agents, messages, strict=True)
            for receiver in self.receivers(agent)
        }
        arrived = self.send(outgoing, kind)
        gets = {
            agent: {sender: arrived[sender, agent] for sender in self.senders(agent)}
            for agent in self.local_agents
        }
        if self._late is not None:
            gets = self._late.exchange(gets, self.time - 1)
        return list(gets.values())

    def collect(self, values: Mapping[Any, Any]) -> dict[Any, Any]:
        """All processes' ``values``, by key; for measurements and checkpoints, not counted as sent.

        Keys and values are numbers, text, tensors, `None`, and tuples, lists and mappings of such. Tensors of
        a device come to each process's own.
        """
        return dict(values)

    def gather(self, values: Mapping[Any, Any]) -> dict[Any, Any]:
        """All processes' ``values`` in the main one, to be written, those of others on the CPU."""
        return dict(values)

    def tensors(self) -> dict[str, Tensor]:
        """Messages that are under way to local agents, by name."""
        return {} if self._late is None else dict(self._late.tensors())

    def load_tensors(self, tensors: Mapping[str, Tensor], device: torch.device) -> None:
        """Restore on a ``device`` what `tensors` gave, possibly among other things."""
        if self._late is not None:
            self._late.load(tensors, device)

    def progress(self) -> dict[str, Any]:
        """What `resume` needs of all processes, in JSON terms."""
        return {
            "time": self.time,
            "bytes_sent": [(*key, size) for key, size in sorted(self.collect(self.bytes_sent).items())],
            "messages_sent": sorted(self.collect(self.messages_sent).items()),
        }

    def resume(self, progress: Mapping[str, Any]) -> None:
        """Go on where a communicator was when it gave ``progress``."""
        self.time = progress["time"]
        for agent, kind, size in progress["bytes_sent"]:
            if agent in self.local_agents:
                self.bytes_sent[agent, kind] = size
        for agent, sent in progress["messages_sent"]:
            if agent in self.local_agents:
                self.messages_sent[agent] = sent

    def count(self, sender: int, kind: str, size: int, messages: int = 0) -> None:
        """Count ``size`` bytes that ``sender`` has sent in ``messages``."""
        if size:
            self.bytes_sent[sender, kind] += size
            self.messages_sent[sender] += messages
