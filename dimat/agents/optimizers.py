"""Optimizers of the local steps."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from dimat.spec import OneOf, Spec

Rate = Annotated[float, Field(gt=0, le=1e3)]


class Optimizer(Spec):
    """What all optimizers share."""

    learning_rate: Rate = 0.01
    """Constant step size."""
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
    """Stochastic gradient descent with heavy-ball momentum."""

    name: Literal["momentum"] = "momentum"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Decay of the running sum of gradients."""

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer over ``model``'s parameters."""
        return torch.optim.SGD(
            model.parameters(), self.learning_rate, self.momentum, weight_decay=self.weight_decay, fused=True
        )


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015); the published runs use it with its usual constants."""

    name: Literal["adam"] = "adam"
    learning_rate: Rate = 1e-3
    """Constant step size."""

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer over ``model``'s parameters."""
        return torch.optim.Adam(
            model.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True
        )


AnyOptimizer = Annotated[Adam | Momentum | Sgd, OneOf()]
