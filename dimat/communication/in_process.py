"""All agents in one program: messages are references, but every byte they stand for is counted."""

from collections.abc import Mapping, Sequence

import numpy
import torch
from torch import Tensor
from typing_extensions import override

from dimat.communication.communicator import Link, Network, State, weighted_sum


class InProcess(Network):
    """Links between agents of one process."""

    @override
    def mix(self, values: Tensor, kind: str, matrix: numpy.ndarray | None = None) -> Tensor:
        matrix = self.mixing if matrix is None else matrix
        mixed = torch.empty_like(values)
        for agent in range(self.agents):
            receivers = len(self.receivers(agent, matrix))
            self.count(agent, kind, values[agent].nbytes * receivers, receivers)
            mixed[agent] = weighted_sum(values, matrix[agent])
        return mixed

    @override
    def exchange(self, messages: Sequence[State], kind: str) -> list[dict[int, State]]:
        for agent, message in enumerate(messages):
            receivers = len(self.receivers(agent))
            self.count(agent, kind, sum(tensor.nbytes for tensor in message.values()) * receivers, receivers)
        return [{sender: messages[sender] for sender in self.senders(agent)} for agent in range(self.agents)]

    @override
    def answer(self, answers: Mapping[Link, Tensor], kind: str) -> dict[Link, Tensor]:
        for (sender, _), message in answers.items():
            self.count(sender, kind, message.nbytes, 1)
        return dict(answers)
