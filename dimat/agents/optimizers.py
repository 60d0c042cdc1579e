"""Optimizers of the local steps."""

from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from dimat.agents.schedule import Rate, Scheduled
from dimat.spec import OneOf


class Optimizer(Scheduled):
    """What all optimizers share. Their schedules begin with the first merge; until then see `Training`."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Factor of the L2 term added to the gradient."""


class Sgd(Optimizer):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = "sgd"

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer over ``model``'s parameters."""
        return torch.optim.SGD(
            model.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True
        )


class Momentum(Optimizer):
    """Stochastic gradient descent with momentum: heavy-ball, or Nesterov's."""

    name: Literal["momentum"] = "momentum"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay of the running sum of gradients."""
    nesterov: bool = False
    """Nesterov's momentum, in the form of deep-learning libraries."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov is a form of momentum; expected momentum above 0 beside it")
        return self

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer over ``model``'s parameters."""
        return torch.optim.SGD(
            model.parameters(),
            self.learning_rate,
            self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            fused=True,
        )


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015); the published runs use it with its usual constants."""

    name: Literal["adam"] = "adam"
    learning_rate: Rate = 1e-3
    """Step size."""

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer over ``model``'s parameters."""
        return torch.optim.Adam(
            model.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True
        )


AnyOptimizer = Annotated[Adam | Momentum | Sgd, OneOf()]
