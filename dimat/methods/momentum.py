"""Momentum of an agent's own steps: Polyak's, and Nesterov's as deep-learning libraries have it."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor

from dimat.agents.state import Kept, PerAgent
from dimat.spec import Spec


class OwnMomentum(Spec):
    """What methods have in common whose agents may step along a running sum of their own gradients."""

    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent("momentum"),)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the running sum."""
    nesterov: bool = False
    """Nesterov's momentum, in the form of deep-learning libraries: a step along the gradient and the decayed
    running sum that it is already part of."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov is a form of momentum; expected momentum above 0 beside it")
        return self

    def ahead(self, gradients: Tensor, kept: Tensor) -> Tensor:
        """The direction of a step, with the running sum ``kept`` that ``gradients`` are already part of."""
        return gradients + self.momentum * kept if self.nesterov else kept


def velocity(
    kept: Tensor, directions: Tensor, rate: float, momentum: float, nesterov: bool
) -> tuple[Tensor, Tensor]:
    """What is ``kept`` (n, d) for the next step, and the move of this one along ``directions`` (n, d).

    Polyak's: V <- momentum V - rate G, and V is the move. ``nesterov``, as deep-learning libraries have it:
    M <- momentum M + G, and the move is -rate (G + momentum M).
    """
    if nesterov:
        kept = momentum * kept + directions
        return kept, -rate * (directions + momentum * kept)
    kept = momentum * kept - rate * directions
    return kept, kept
