"""The average of networks that stand alike, as a network."""

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from dimat.merging.averaging.average import weighted_average
from dimat.merging.averaging.coefficients import Entropy, tuned_average
from dimat.merging.averaging.options import Averaging
from dimat.merging.averaging.robust import Robust, robust_average
from dimat.merging.averaging.scale import shrink
from dimat.merging.averaging.task_vectors import TaskVectors, from_base
from dimat.models.modes import forget
from dimat.models.passes import Pass


class Averaged(NamedTuple):
    """A network, and the coefficients (n,) of task vectors, if any, for each tensor or for all (under "")."""

    network: nn.Module
    coefficients: Mapping[str, Tensor]


def average(
    model: nn.Module,
    states: Sequence[Mapping[str, Tensor]],
    weights: Sequence[float],
    averaging: Averaging,
    unlabelled: Pass,
    *,
    first: bool,
    base: Mapping[str, Tensor] | None = None,
) -> Averaged:
    """The average of aligned ``states`` with ``weights``, as a network like ``model``.

    Coefficients, where they are tuned, are tuned on ``unlabelled`` images. Task vectors count from the
    parameters of ``base``. Medians and trimmed means take all alike. Weights in front of normalizations are
    shrunk at the ``first`` merge.
    """
    merged = with_state(model, weighted_average(states, weights))
    coefficients: Mapping[str, Tensor] = {}
    if isinstance(averaging.coefficients, Entropy):
        steps, rate = averaging.coefficients.steps, averaging.coefficients.learning_rate
        load(merged, tuned_average(merged, states, weights, unlabelled, steps, rate)[0])
    elif isinstance(averaging.coefficients, TaskVectors):
        assert base is not None
        state, coefficients = from_base(merged, states, weights, base, averaging.coefficients, unlabelled)
        load(merged, state)
    elif isinstance(averaging.coefficients, Robust):
        load(merged, robust_average(states, averaging.coefficients))
    if first and averaging.shrink != 1:
        shrink(merged, averaging.shrink)
    return Averaged(merged, coefficients)


def with_state(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A network like ``model`` with another state."""
    other = copy.deepcopy(model)
    load(other, state)
    return other


def load(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a network another state, with what it notes about its own (versions of layers)."""
    whole = model.state_dict()
    whole.update(state)
    model.load_state_dict(whole)
    forget(model)
