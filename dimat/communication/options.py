"""Where agents live: all in one program, or each in a process of its own."""

from collections.abc import Callable
from typing import Annotated, Literal

import numpy
import torch
from pydantic import Field

from dimat.communication.communicator import Network
from dimat.communication.in_process import InProcess
from dimat.spec import OneOf, Spec

Matrices = Callable[[int], numpy.ndarray]


class InProcessOptions(Spec):
    """All agents in one program on one device."""

    name: Literal["in_process"] = "in_process"

    def open(self, matrices: Matrices, device: torch.device) -> Network:
        """Links with the mixing matrix that ``matrices`` gives for each communication."""
        del device
        return InProcess(matrices)


class RanksOptions(Spec):
    """One process for each agent, started by torchrun or Slurm; messages go to neighbours only."""

    name: Literal["ranks"] = "ranks"
    timeout: Annotated[float, Field(gt=0, le=86400)] = 60.0
    """Seconds to wait for another process before it is given up."""

    def open(self, matrices: Matrices, device: torch.device) -> Network:
        """Links with the mixing matrix that ``matrices`` gives for each communication."""
        from dimat.communication.ranks import Ranks

        return Ranks(matrices, device, self.timeout)


IN_PROCESS = InProcessOptions()
AnyNetwork = Annotated[InProcessOptions | RanksOptions, OneOf()]
