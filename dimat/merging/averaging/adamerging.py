"""AdaMerging: coefficients of task vectors, tuned for confident predictions on unlabelled images.

Yang, Wang, Shen, Liu, Guo, Wang and Tao 2024, arXiv 2310.02575.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from typing_extensions import override

from dimat.merging.averaging.coefficients import by_batch, cycled, prediction_entropy
from dimat.merging.averaging.task_vectors import State, TaskVectors, added
from dimat.models.passes import Pass


class AdaMerging(TaskVectors):
    """Coefficients of what each network has learnt, tuned for confident predictions on unlabelled images.

    With `ties`, it is AdaMerging++.
    """

    name: Literal["adamerging"] = "adamerging"
    per: Literal["task", "layer"] = "layer"
    """One coefficient for each network (`task`), or for each tensor of each network (`layer`)."""
    clamped: bool = True
    """Use coefficients clamped to [0, 1] (published). One that has left this range has no gradient
    and does not come back."""
    images: Literal["own", "test"] = "own"
    """The unlabelled images: an agent's `own` training images, or, as published, those of the `test` set,
    which leaks them into the result."""
    steps: Annotated[int, Field(ge=1)] = 500
    """Steps of Adam in each merge, one batch each; none where nothing was learnt since the start."""
    learning_rate: Annotated[float, Field(gt=0, le=1e3)] = 0.001
    """Learning rate of Adam."""
    limit: Annotated[int | None, Field(ge=2)] = 1000
    """Use at most so many of these images, drawn anew every round; null uses all."""

    @override
    def label(self) -> str:
        """Says if test images leak."""
        kind = f"AdaMerging{'++' * (self.ties is not None)}, {self.per}-wise"
        leak = ", on test images (leaks)" * (self.images == "test")
        return f"{kind}, {'clamped' if self.clamped else 'free'}{leak}"

    @override
    def coefficients(
        self, network: nn.Module, base: State, vectors: Sequence[State], batches: Pass
    ) -> Tensor:
        rows = self.alike(len(base) if self.per == "layer" else 1, vectors)
        if not torch.stack([tensor.any() for vector in vectors for tensor in vector.values()]).any():
            return rows  # nothing was learnt yet: all coefficients are as good
        network = by_batch(network, network.state_dict())
        with torch.enable_grad():
            seen = cycled(batches, self.steps)
            return tuned(rows, network, base, vectors, seen, self.learning_rate, clamped=self.clamped)


def tuned(
    rows: Tensor,
    network: nn.Module,
    base: State,
    vectors: Sequence[State],
    batches: Iterable[Tensor],
    learning_rate: float,
    *,
    clamped: bool,
) -> Tensor:
    """Coefficients after a step of Adam from ``rows`` for each of ``batches``, on the entropy of predictions.

    Scaling logits up makes any prediction surer, so the entropy also falls along the mere length of what is
    added: free coefficients tend to grow.
    """
    rows = rows.clone().requires_grad_()
    optimizer = torch.optim.Adam([rows], lr=learning_rate)
    for images in batches:
        used = rows.clamp(0, 1) if clamped else rows
        entropy = prediction_entropy(functional_call(network, added(base, vectors, used), (images,)))
        (rows.grad,) = torch.autograd.grad(entropy, rows)
        optimizer.step()
    return (rows.clamp(0, 1) if clamped else rows).detach()
