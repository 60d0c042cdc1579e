"""All agents in one program: messages are references, but every byte they stand for is counted."""

from collections.abc import Mapping
from typing import Any

import numpy
from torch import Tensor
from typing_extensions import override

from dimat.communication.communicator import Communicator, Link, Message


class InProcess(Communicator):
    """Links between agents of one process."""

    @override
    def _rows(self, values: Tensor, matrix: numpy.ndarray) -> tuple[list[int], Tensor]:
        return list(range(self.agents)), values

    @override
    def _deliver(self, messages: Mapping[Link, Message]) -> dict[Link, Any]:
        return dict(messages)
