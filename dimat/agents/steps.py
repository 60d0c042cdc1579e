"""Local steps of one network with its optimizer."""

from typing import Any

import torch
from torch import nn

from dimat.tasks.network_task import NetworkTask


class Steps:
    """Steps of an ``optimizer`` against the loss of a ``network``, and up it in blocks that ascend.

    ``total`` is the sum of the losses so far.
    """

    def __init__(self, task: NetworkTask, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.task = task
        self.network = network
        self.optimizer = optimizer
        self.total = torch.zeros((), device=task.device)
        self._ascending = [p for name, p in network.named_parameters() if name in task.ascending]

    def take(self, sample: Any, rate: float) -> None:
        """One step along the gradient of a sample's loss, with a learning ``rate``."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.step(sample)

    def step(self, sample: Any) -> None:
        """One step with the learning rate that is set."""
        loss = self.task.loss(self.network, sample)
        self.optimizer.zero_grad()
        loss.backward()
        for parameter in self._ascending:
            if parameter.grad is not None:
                parameter.grad.neg_()
        self.optimizer.step()
        self.total += loss.detach()
