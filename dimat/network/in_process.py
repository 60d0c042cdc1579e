"""All agents in one program: messages are references, but every byte they stand for is counted."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy
from torch import Tensor

State = Mapping[str, Tensor]


class InProcess:
    """Links between agents with mixing matrix ``mixing`` (N, N).

    ``bytes_sent[agent, kind]`` counts what each agent has sent so far.
    """

    def __init__(self, mixing: numpy.ndarray) -> None:
        self.mixing = mixing
        self.bytes_sent: Counter[tuple[int, str]] = Counter()

    @property
    def agents(self) -> int:
        """Number of agents N."""
        return len(self.mixing)

    def neighbours(self, agent: int) -> list[int]:
        """The agents linked to ``agent``, without itself."""
        return [other for other in range(self.agents) if other != agent and self.mixing[agent, other] > 0]

    def edges(self) -> list[tuple[int, int]]:
        """Undirected links (i, j), i < j."""
        return [(i, j) for i in range(self.agents) for j in self.neighbours(i) if i < j]

    def exchange(self, messages: Sequence[State], kind: str) -> list[dict[int, State]]:
        """Every agent sends its message to each neighbour; returns what each agent receives, by sender."""
        for agent, message in enumerate(messages):
            size = sum(tensor.nbytes for tensor in message.values())
            self.count(agent, kind, size * len(self.neighbours(agent)))
        return [
            {neighbour: messages[neighbour] for neighbour in self.neighbours(agent)}
            for agent in range(self.agents)
        ]

    def count(self, sender: int, kind: str, size: int) -> None:
        """Count ``size`` bytes that ``sender`` has sent other than through `exchange`."""
        if size:
            self.bytes_sent[sender, kind] += size
