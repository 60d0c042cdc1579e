"""Dif-MAML: decentralized meta-learning by diffusion (Kayaalp, Vlaski and Sayed 2022)."""

from typing import Annotated, Any, ClassVar, Literal

import numpy
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from dimat.agents.agents import Agents, Step
from dimat.agents.schedule import Rate
from dimat.agents.state import Kept, PerAgent
from dimat.communication.communicator import Communicator
from dimat.methods.every_step import Synchronous, with_decay

FIRST, SECOND, EPSILON = 0.9, 0.999, 1e-8
"""Adam's usual constants: decays of both moments, and what is added to the root of the second."""


class DifMaml(Synchronous):
    """Step along the gradient of the loss after adaptation, then average with the neighbours.

    For each episode of a batch, of a support and a query, an agent's direction is that of MAML (Finn, Abbeel
    and Levine 2017): (I - inner_rate H) g, with the gradient g of the query at the point to which a step on
    the support leads, and the Hessian H of the support. Of few-shot tasks episodes are their own; elsewhere
    the halves of a batch.
    """

    name: Literal["dif_maml"] = "dif_maml"
    title: ClassVar[str] = "Dif-MAML"
    keeps: ClassVar[tuple[Kept, ...]] = (PerAgent("first moment"), PerAgent("second moment"))
    learning_rate: Rate = 1e-3
    """Step size."""
    inner_rate: Annotated[float, Field(ge=0, le=10)] = 0.01
    """Step size of adaptation; with 0 nothing is adapted, and agents learn to fit queries."""
    first_order: bool = False
    """Leave out the Hessian."""
    outer: Literal["adam", "sgd"] = "adam"
    """What steps along the direction: Adam (Kingma and Ba 2015), each agent's own, or SGD."""
    combination: Literal["mixing", "mean"] = "mixing"
    """Weights of neighbours: those of the graph, or, as published code has it, the same for an agent and each
    of its neighbours. Where agents have unlike numbers of neighbours, these weigh some more than others."""
    cooperative: bool = True
    """Whether agents average at all."""

    @override
    def canonical(self, point: dict[str, Any]) -> dict[str, Any]:
        """Alone, agents have no graph and no weights."""
        return super().canonical(point) | ({} if self.cooperative else {"graph": None})

    @override
    def step(self, agents: Agents, communicator: Communicator, step: Step, rate: float) -> None:
        x = agents.parameters
        gradients = step.meta_gradients(x, self.inner_rate, first_order=self.first_order)
        gradients = with_decay(gradients, self.weight_decay, x)
        adapted = x - rate * self._direction(agents, gradients, step.number + 1)
        matrix = equal_weights(communicator.mixing) if self.combination == "mean" else None
        agents.parameters = communicator.mix(adapted, "models", matrix)

    def _direction(self, agents: Agents, gradients: Tensor, taken: int) -> Tensor:
        """The gradients, or what Adam makes of them in its step number ``taken``."""
        if self.outer == "sgd":
            return gradients
        m = FIRST * agents.state["first moment"] + (1 - FIRST) * gradients
        v = SECOND * agents.state["second moment"] + (1 - SECOND) * gradients**2
        agents.state["first moment"], agents.state["second moment"] = m, v
        return m / (1 - FIRST**taken) / ((v / (1 - SECOND**taken)).sqrt() + EPSILON)


def equal_weights(mixing: numpy.ndarray) -> numpy.ndarray:
    """The matrix (N, N) of plain means over oneself and those whom ``mixing`` gives weight; rows sum to 1."""
    joined = (mixing > 0) | numpy.eye(len(mixing), dtype=bool)
    return joined / joined.sum(1, keepdims=True)
