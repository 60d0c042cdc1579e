"""ADPG's policy: a small network from what a flow has seen to how it changes its rate, and its loss.

Analytic policy gradient (Tessler et al. 2021, arXiv 2102.09337): it is known in which direction an action
moves later signals, so that no critic is learnt.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

LAYERS = {"first": (12, 4), "second": (12, 12), "last": (1, 12)}
"""Shapes (out, in) of the weights: ReLU between them, tanh at the end, no biases."""


class Policy:
    """a = tanh(C relu(B relu(A o))): of each flow the action, from what it observes."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = {name: weights[name] for name in LAYERS}

    @classmethod
    def random(cls, generator: torch.Generator) -> "Policy":
        """Weights that are orthogonal up to a factor of sqrt(2), as in the published code."""
        empty = {name: torch.empty(shape, dtype=torch.float64) for name, shape in LAYERS.items()}
        for weights in empty.values():
            torch.nn.init.orthogonal_(weights, gain=2**0.5, generator=generator)
        return cls(empty)

    def actions(self, observations: Tensor) -> Tensor:
        """Actions (..., F) between -1 and 1, from observations (..., F, 4); see `adpg.Seen`."""
        first, second, last = self.weights.values()
        hidden = torch.relu(torch.relu(observations @ first.T) @ second.T)
        return torch.tanh((hidden @ last.T).squeeze(-1))


def loss(actions: Tensor, signals: Tensor, discount: float, reward: float, smoothness: float) -> Tensor:
    """What training descends, from ``actions`` (T, F) and the ``signals`` (T, F) after them.

    ``reward`` times the mean over t of a_t sum_{u >= t} discount^(u - t) s_u / (T - t): where later signals
    are positive, the action should have been smaller. To that is added ``smoothness`` / 2 times the mean over
    t of sum_{u > t} (a_t - a_u)^2 / (T - t). Both are means over flows.
    """
    count = len(actions)
    left = torch.arange(count, 0, -1, dtype=actions.dtype)[:, None]
    later = torch.empty_like(signals)
    running = torch.zeros_like(signals[0])
    for time in reversed(range(count)):
        later[time] = running = signals[time] + discount * running
    sums, squares = _after(actions), _after(actions**2)
    apart = (left - 1) * actions**2 - 2 * actions * sums + squares
    return ((reward * actions * later + smoothness / 2 * apart) / left).mean()


def _after(values: Tensor) -> Tensor:
    """For each time the sum of all later ``values`` (T, F)."""
    return values.flip(0).cumsum(0).flip(0) - values
