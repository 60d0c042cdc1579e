"""With which weights aligned networks are averaged: the graph's, or tuned ones for each layer.

Tuning follows AdaMerging (Yang, Wang, Shen, Liu, Guo, Wang and Tao 2024): Adam on the mean entropy of the
predictions for unlabelled images. There task vectors are combined (see `adamerging`); here whole networks
are, so the coefficients of each layer are projected onto the probability simplex after each step.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import override

from dimat.errors import InputError
from dimat.merging.averaging.average import weighted_average
from dimat.spec import Spec


class Mixing(Spec):
    """The mixing weights of the graph, the same for every layer (published)."""

    name: Literal["mixing"] = "mixing"


class Entropy(Spec):
    """Weights for each layer that sum to 1, tuned for confident predictions on unlabelled images."""

    name: Literal["entropy"] = "entropy"
    images: Literal["own", "test"] = "own"
    """The unlabelled images: an agent's `own` training images, or, as AdaMerging was published, those of the
    `test` set, which leaks them into the result."""
    steps: Annotated[int, Field(ge=1)] = 100
    """Steps of Adam in each merge, one batch each."""
    learning_rate: Annotated[float, Field(gt=0, le=1e3)] = 0.01
    """Learning rate of Adam."""
    limit: Annotated[int | None, Field(ge=2)] = 1000
    """Use at most so many of these images, drawn anew every round; null uses all."""

    @override
    def label(self) -> str:
        """Says if test images leak."""
        leak = " on test images (leaks)" if self.images == "test" else ""
        changed = Spec.label(self.model_copy(update={"images": "own"})).removeprefix(self.name).strip()
        return ", ".join(filter(None, [f"entropy-tuned{leak}", changed]))


@torch.no_grad()
def tuned_average(
    model: nn.Module,
    states: Sequence[Mapping[str, Tensor]],
    weights: Sequence[float],
    batches: Callable[[], Iterable[Tensor]],
    steps: int,
    learning_rate: float,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The average of aligned ``states`` with coefficients for each layer that make it sure of its answers.

    Coefficients start at ``weights`` and take ``steps`` steps, one for each batch of as many passes as it
    takes. ``batches`` starts a pass over normalized images (batch, channels, height, width); ``model``
    gives the architecture and stays as it is. Batch normalization uses the statistics of the batch, because
    averaged running ones are wrong before repair; dropout is off.

    Returns the state, whose buffers are averaged with ``weights``, and the coefficients (n,) of each layer,
    float64. One state alone comes back without a look at images; otherwise `InputError` if there are none.
    """
    merged = weighted_average(states, weights)
    layers = layers_of(model)
    rows = torch.tensor([list(weights)] * len(layers), dtype=torch.float64)
    if layers and len(states) > 1:
        network = by_batch(model, merged)
        rows = rows.to(next(network.parameters()).device, non_blocking=True)
        with torch.enable_grad():
            rows = _tuned(rows, network, states, layers, cycled(batches, steps), learning_rate)
        tuned = mixed(states, layers, rows)
        first = {parameter: name for name, parameter in model.named_parameters()}
        for name, parameter in model.named_parameters(remove_duplicate=False):
            merged[name] = tuned[first[parameter]]
    return merged, dict(zip(layers, rows, strict=True))


def _tuned(
    rows: Tensor,
    network: nn.Module,
    states: Sequence[Mapping[str, Tensor]],
    layers: Mapping[str, Sequence[str]],
    batches: Iterable[Tensor],
    learning_rate: float,
) -> Tensor:
    """Coefficients (layers, n) after one step of Adam from ``rows`` for each of ``batches``."""
    rows = rows.clone().requires_grad_()
    optimizer = torch.optim.Adam([rows], lr=learning_rate)
    for images in batches:
        entropy = prediction_entropy(functional_call(network, mixed(states, layers, rows), (images,)))
        (gradient,) = torch.autograd.grad(entropy, rows)
        with torch.no_grad():
            # Larger weights of any parent make predictions surer. Adam scales each entry by itself, so this
            # common part, which the projection undoes, would drown the rest: only moves that stay on the
            # simplex count (the gradient mapping of Nesterov 2004, section 2.2.3).
            reached = project_onto_simplex(rows - learning_rate * gradient)
            rows.grad = (rows - reached) / learning_rate
            optimizer.step()
            rows.copy_(project_onto_simplex(rows))
    return rows.detach()


def by_batch(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A network like ``model`` with another state, which normalizes by the statistics of each batch."""
    network = copy.deepcopy(model)
    network.load_state_dict(state)
    for module in network.modules():
        module.training = isinstance(module, _BatchNorm)
    return network


def cycled(batches: Callable[[], Iterable[Tensor]], count: int) -> Iterator[Tensor]:
    """The first ``count`` batches of as many passes as it takes; `InputError` if a pass has none."""
    while count > 0:
        before = count
        for images in islice(batches(), count):
            count -= 1
            yield images
        if count == before:
            raise InputError("coefficients: there are no images to tune them on; expected one batch or more")


def layers_of(model: nn.Module) -> dict[str, list[str]]:
    """Names of the parameters that each module owns directly; a shared one belongs to its first owner."""
    layers: dict[str, list[str]] = {}
    for name, _ in model.named_parameters():
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    return layers


def mixed(
    states: Sequence[Mapping[str, Tensor]], layers: Mapping[str, Sequence[str]], rows: Tensor
) -> dict[str, Tensor]:
    """Parameters sum_j ``rows[l, j]`` ``states[j]`` of every layer l; differentiable in ``rows`` alone."""
    return {
        name: sum(
            (share * state[name].detach() for share, state in zip(row.unbind(), states, strict=True)),
            torch.zeros(()),
        )
        for row, names in zip(rows.unbind(), layers.values(), strict=True)
        for name in names
    }


def prediction_entropy(logits: Tensor) -> Tensor:
    """Mean entropy, in nats, of the predictions of ``logits`` (batch, classes).

    A single one is that of the second of two classes.
    """
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    logarithms = logits.log_softmax(1)
    return -(logarithms.exp() * logarithms).sum(1).mean()


def project_onto_simplex(rows: Tensor) -> Tensor:
    """The point of the probability simplex nearest to each of ``rows`` (layers, n).

    By sorting (Duchi, Shalev-Shwartz, Singer and Chandra 2008, figure 1).
    """
    # The projection ignores a common constant; without it, sums lose no digits to large entries.
    shifted = rows - rows.amax(1, keepdim=True)
    descending = shifted.sort(1, descending=True).values.unbind(1)
    sums = torch.stack(list(accumulate(descending)), 1)  # as `cumsum` gives other bits each time on a GPU
    counts = torch.arange(1, rows.shape[1] + 1, dtype=rows.dtype, device=rows.device)
    # With k entries above it the threshold is (sum - 1) / k, which is largest at the k that fits.
    threshold = ((sums - 1) / counts).amax(1, keepdim=True)
    return (shifted - threshold).clamp(min=0)
