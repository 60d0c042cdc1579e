"""The average of networks that stand alike, as a network."""

import copy
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from dimat.merging.averaging.average import weighted_average
from dimat.merging.averaging.coefficients import Entropy, tuned_average
from dimat.merging.averaging.options import Averaging
from dimat.merging.averaging.scale import shrink
from dimat.tasks.network_task import Pass


def average(
    model: nn.Module,
    states: Sequence[Mapping[str, Tensor]],
    weights: Sequence[float],
    averaging: Averaging,
    unlabelled: Pass,
    *,
    first: bool,
) -> nn.Module:
    """The average of aligned ``states`` with ``weights``, as a network like ``model``.

    Coefficients, where they are tuned, are tuned on ``unlabelled`` images. Weights in front of normalizations
    are shrunk at the ``first`` merge.
    """
    merged = with_state(model, weighted_average(states, weights))
    if isinstance(averaging.coefficients, Entropy):
        steps, rate = averaging.coefficients.steps, averaging.coefficients.learning_rate
        merged.load_state_dict(tuned_average(merged, states, weights, unlabelled, steps, rate)[0])
    if first and averaging.shrink != 1:
        shrink(merged, averaging.shrink)
    return merged


def with_state(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A network like ``model`` with another state."""
    other = copy.deepcopy(model)
    other.load_state_dict(state)
    return other
