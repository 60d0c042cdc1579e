"""Local steps that a GPU has recorded: agents take turns on one network, whose steps are replayed."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from dimat.agents.optimizers import AnyOptimizer
from dimat.agents.recording import Recorded
from dimat.agents.steps import Steps
from dimat.tasks.network_task import NetworkTask


class RecordedSteps(Steps):
    """Steps of a network like ``model`` with an optimizer of its own, in memory that never moves.

    An agent's network and optimizer are copied in (`begin`), trained, and copied out (`end`).
    """

    def __init__(self, task: NetworkTask, model: nn.Module, optimizer: AnyOptimizer) -> None:
        network = copy.deepcopy(model).train()
        super().__init__(task, network, optimizer.build(network))
        self._rate = torch.zeros((), device=task.device)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate  # read by the device at every step, not written into the recording
            if "capturable" in group:
                group["capturable"] = True
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()  # now all of its slots are there
        self._recorded = Recorded()

    @override
    def take(self, sample: Any, rate: float) -> None:
        self._rate.fill_(rate)
        self._recorded("step", self.step, sample, self._tensors)

    def begin(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Take over an agent's network and optimizer; one that has taken no step yet begins with zeros."""
        self.total.zero_()
        self.network.load_state_dict(network.state_dict())
        theirs = self._counterparts(network)
        for parameter, slot, tensor in self._slots():
            value = optimizer.state.get(theirs[parameter], {}).get(slot)
            _ = tensor.zero_() if value is None else tensor.copy_(value)

    def end(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Give an agent back what became of its network and optimizer."""
        network.load_state_dict(self.network.state_dict())
        theirs = self._counterparts(network)
        for parameter, slot, tensor in self._slots():
            optimizer.state[theirs[parameter]][slot] = tensor.clone()

    def _counterparts(self, network: nn.Module) -> dict[Tensor, Tensor]:
        """An agent's parameters by those of the network here."""
        return dict(zip(self.network.parameters(), network.parameters(), strict=True))

    def _tensors(self) -> list[Tensor]:
        slots = [tensor for _, _, tensor in self._slots()]
        return [self.total, *self.network.state_dict().values(), *slots]

    def _slots(self) -> list[tuple[Tensor, str, Tensor]]:
        return [
            (parameter, slot, tensor)
            for parameter, slots in self.optimizer.state.items()
            for slot, tensor in slots.items()
            if tensor is not None
        ]
