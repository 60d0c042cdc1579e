"""Where agents live: all in one program, or each in a process of its own."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Literal

import numpy
import torch
from pydantic import Field
from typing_extensions import override

from dimat.communication.communicator import Communicator
from dimat.communication.in_process import InProcess
from dimat.spec import OneOf, Spec

Matrices = Callable[[int], numpy.ndarray]


class Communication(Spec):
    """Where agents live, and so how messages travel."""

    @abstractmethod
    def open(
        self, matrices: Matrices, whole: numpy.ndarray, device: torch.device, newest_at: Matrices | None
    ) -> Communicator:
        """Links with the mixing matrix that ``matrices`` gives for each communication; `Communicator`."""


class InProcessOptions(Communication):
    """All agents in one program on one device."""

    name: Literal["in_process"] = "in_process"

    @override
    def open(
        self, matrices: Matrices, whole: numpy.ndarray, device: torch.device, newest_at: Matrices | None
    ) -> Communicator:
        return InProcess(matrices, whole=whole, newest_at=newest_at)


class RanksOptions(Communication):
    """One process for each agent, started by torchrun or Slurm; messages go to neighbours only."""

    name: Literal["ranks"] = "ranks"
    timeout: Annotated[float, Field(gt=0, le=86400)] = 60.0
    """Seconds to wait for another process before it is given up."""

    @override
    def open(
        self, matrices: Matrices, whole: numpy.ndarray, device: torch.device, newest_at: Matrices | None
    ) -> Communicator:
        from dimat.communication.ranks import Ranks  # here, as it loads torch.distributed

        return Ranks(matrices, device, self.timeout, whole, newest_at)


AnyCommunication = Annotated[InProcessOptions | RanksOptions, OneOf()]
