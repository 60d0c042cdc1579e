"""Who sends what to whom, in one program or between many; every byte is counted where it is sent."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy
import torch
from torch import Tensor

State = Mapping[str, Tensor]
Link = tuple[int, int]


class Network(ABC):
    """Links between N agents, of which those in ``mine`` live in this process.

    ``matrices`` is the mixing matrix (N, N), or gives that of communication number t = 0, 1, ...; entry
    [i, j] is the weight that i gives to what j sends. ``mixing`` is the one in use, until `advance`.
    ``bytes_sent[agent, kind]`` and ``messages_sent[agent]`` count what each of ``mine`` has sent so far.
    """

    def __init__(
        self, matrices: numpy.ndarray | Callable[[int], numpy.ndarray], mine: Sequence[int] | None = None
    ) -> None:
        self._matrix_at = matrices if callable(matrices) else lambda time: matrices
        self.time = 0
        self.mixing = self._matrix_at(0)
        self.mine = list(range(self.agents) if mine is None else mine)
        self.bytes_sent: Counter[tuple[int, str]] = Counter()
        self.messages_sent: Counter[int] = Counter()

    @property
    def agents(self) -> int:
        """Number of agents N."""
        return len(self.mixing)

    @property
    def leads(self) -> bool:
        """Whether this process is the one that speaks and writes for all."""
        return 0 in self.mine

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

    def neighbours(self, agent: int) -> list[int]:
        """The agents linked to ``agent``: where links have a direction, those it receives from."""
        return self.senders(agent)

    def edges(self) -> list[Link]:
        """Undirected links (i, j), i < j."""
        return sorted({(min(i, j), max(i, j)) for i in range(self.agents) for j in self.senders(i)})

    @abstractmethod
    def mix(self, values: Tensor, kind: str, matrix: numpy.ndarray | None = None) -> Tensor:
        """W X: each agent receives its neighbours' rows of ``values`` (n, d) and takes the weighted sum.

        ``matrix`` (N, N) stands for the links in use.
        """

    @abstractmethod
    def exchange(self, messages: Sequence[State], kind: str) -> list[dict[int, State]]:
        """Every agent sends its message to all receivers; what each agent receives, by sender."""

    @abstractmethod
    def answer(self, answers: Mapping[Link, Tensor], kind: str) -> dict[Link, Tensor]:
        """Every agent answers all whom it received from: what agents of this process get.

        Links are (from, to). All answers have one shape and type.
        """

    def collect(self, values: Mapping[Any, Any]) -> dict[Any, Any]:
        """All processes' ``values``, by key; for measurements, not counted as sent."""
        return dict(values)

    def progress(self) -> dict[str, Any]:
        """What `resume` needs of all processes, in JSON terms."""
        return {
            "time": self.time,
            "bytes_sent": [(*key, size) for key, size in sorted(self.collect(self.bytes_sent).items())],
            "messages_sent": sorted(self.collect(self.messages_sent).items()),
        }

    def resume(self, progress: Mapping[str, Any]) -> None:
        """Go on where a network was when it gave ``progress``."""
        self.time = progress["time"]
        sent = {(agent, kind): size for agent, kind, size in progress["bytes_sent"] if agent in self.mine}
        self.bytes_sent.update(sent)
        self.messages_sent.update({a: sent for a, sent in progress["messages_sent"] if a in self.mine})

    def count(self, sender: int, kind: str, size: int, messages: int = 0) -> None:
        """Count ``size`` bytes that ``sender`` has sent in ``messages``."""
        if size:
            self.bytes_sent[sender, kind] += size
            self.messages_sent[sender] += messages


def weighted_sum(rows: Tensor | Mapping[int, Tensor], weights: numpy.ndarray) -> Tensor:
    """The sum of ``rows`` (d,), by agent, with ``weights`` (N,); those without weight are not looked at.

    Rows are added in the order of agents, so that it does not matter who adds them up.
    """
    (members,) = numpy.nonzero(weights)
    chosen = torch.stack([rows[member] for member in members.tolist()])
    return torch.as_tensor(weights[members], dtype=chosen.dtype, device=chosen.device) @ chosen
