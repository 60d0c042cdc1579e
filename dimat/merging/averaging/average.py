"""Weighted averages of network states."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def weighted_average(states: Sequence[Mapping[str, Tensor]], weights: Sequence[float]) -> dict[str, Tensor]:
    """sum_j ``weights[j]`` ``states[j]``, entry by entry, for weights that sum to 1.

    What is no tensor is that of the first. Entries that count (integers) are averaged and rounded.
    """
    merged = {}
    for name, like in states[0].items():
        if not isinstance(like, Tensor):  # what a network adds to its state by itself has no mean
            merged[name] = like
            continue
        terms = (state[name].to(_wide(like)) * weight for state, weight in zip(states, weights, strict=True))
        total = sum(terms, torch.zeros(()))
        merged[name] = (total if like.is_floating_point() else total.round()).to(like.dtype)
    return merged


def _wide(tensor: Tensor) -> torch.dtype:
    return tensor.dtype if tensor.is_floating_point() else torch.float64
