"""Optimizers of the local steps."""

import inspect
from typing import Annotated, Literal, Self, TypeVar

import torch
from pydantic import Field, model_validator
from torch import nn

from dimat.agents.schedule import Rate, Scheduled
from dimat.spec import OneOf

Kind = TypeVar("Kind", bound=type[torch.optim.Optimizer])


def without_compiler(kind: Kind) -> Kind:
    """An optimizer of torch without what wraps some of its functions for the sake of torch's compiler.

    The wrappers import the compiler at their first call, which takes every job as long as `import torch`.
    """
    wrapped = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in wrapped}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**plain, "step": step})  # pyright: ignore[reportReturnType]  # a subclass


TorchSgd = without_compiler(torch.optim.SGD)
TorchAdam = without_compiler(torch.optim.Adam)


class Optimizer(Scheduled):
    """What all optimizers share. Their schedules begin with the first merge; until then see `Training`."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Factor of the L2 term added to the gradient."""


class Sgd(Optimizer):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = "sgd"

    def build(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer over ``model``'s parameters."""
        return TorchSgd(model.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True)


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
        return TorchSgd(
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
        return TorchAdam(model.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True)


AnyOptimizer = Annotated[Adam | Momentum | Sgd, OneOf()]
