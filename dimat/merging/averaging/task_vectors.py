"""Task arithmetic: what networks have learnt since a start that they share, added to that start.

Theta = theta_0 + sum_k lambda_k (theta_k - theta_0) (Ilharco, Ribeiro, Wortsman, Gururangan, Schmidt,
Hajishirzi and Farhadi 2023, arXiv 2212.04089), here over an agent and its neighbours. What the graph gives as
weights does not enter: coefficients need not sum to 1.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from dimat.merging.averaging.average import weighted_average
from dimat.merging.averaging.ties import agreeing
from dimat.models.passes import Pass
from dimat.spec import Spec

State = Mapping[str, Tensor]


class TaskVectors(Spec):
    """Coefficients of what each network has learnt since the start."""

    factor: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Coefficient of what each network has learnt since the first merge; where it is tuned, at first."""
    ties: Annotated[float | None, Field(gt=0, le=1)] = None
    """Keep of what each network has learnt only this share of entries, the largest, and of these only those
    with the sign of their sum over networks (TIES; 0.2 as published); null keeps all."""

    @abstractmethod
    def coefficients(
        self, network: nn.Module, base: State, vectors: Sequence[State], batches: Pass
    ) -> Tensor:
        """Those of n ``vectors``: (tensors, n), or (1, n) where all tensors have the same; float64.

        ``network`` is one of the architecture, and stays as it is; ``batches`` are unlabelled images.
        """

    def alike(self, tensors: int, vectors: Sequence[State]) -> Tensor:
        """The same coefficient for all."""
        device = next(iter(vectors[0].values())).device
        return torch.full((tensors, len(vectors)), self.factor, dtype=torch.float64, device=device)


class TaskArithmetic(TaskVectors):
    """The same coefficient for what each network has learnt since the start (task arithmetic)."""

    name: Literal["task_arithmetic"] = "task_arithmetic"

    @override
    def label(self) -> str:
        return f"task arithmetic {self.factor:g}{', TIES' * (self.ties is not None)}"

    @override
    def coefficients(
        self, network: nn.Module, base: State, vectors: Sequence[State], batches: Pass
    ) -> Tensor:
        return self.alike(1, vectors)


@torch.no_grad()
def from_base(
    model: nn.Module,
    states: Sequence[State],
    weights: Sequence[float],
    base: State,
    way: TaskVectors,
    batches: Pass,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The ``base`` and what aligned ``states`` have learnt since, with the coefficients of a ``way``.

    ``base`` has the parameters of the start by name. Returns the state, whose buffers are averaged with
    ``weights``, and the coefficients (n,) of each tensor, or of all under the name "".
    """
    merged = weighted_average(states, weights)
    vectors: Sequence[State] = [{name: state[name] - base[name] for name in base} for state in states]
    if way.ties is not None:
        vectors = agreeing(vectors, way.ties)
    rows = way.coefficients(model, base, vectors, batches)
    new = added(base, vectors, rows)
    first = {parameter: name for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        merged[name] = new[first[parameter]]
    names = base if len(rows) > 1 else [""]
    return merged, dict(zip(names, rows, strict=True))


def added(base: State, vectors: Sequence[State], rows: Tensor) -> dict[str, Tensor]:
    """``base`` + sum_k rows[l, k] vectors[k] for each tensor l, or row 0 for all; differentiable in rows."""
    return {
        name: sum((share * vector[name] for share, vector in zip(row.unbind(), vectors, strict=True)), tensor)
        for row, (name, tensor) in zip(rows.expand(len(base), -1), base.items(), strict=True)
    }
