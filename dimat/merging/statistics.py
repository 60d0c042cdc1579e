"""Correlations between the features of networks, accumulated in one pass over images.

Features are never stored: each batch is folded into sums. Every sample and every position of a feature
map is one observation of a channel. Sums are shifted by the first batch's means, and batches are added
up in double precision, so that many images or large means cost no accuracy.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dimat.models.symmetry import Group, observed

Pair = tuple[int, int]


@dataclass
class _Sums:
    """Running sums of shifted features: of one channel, of its square, of products between networks."""

    shift: dict[int, Tensor]
    first: dict[int, Tensor]
    square: dict[int, Tensor]
    product: dict[Pair, Tensor]


def correlations(
    models: dict[int, nn.Module], groups: list[Group], pairs: list[Pair], batches: Iterable[Tensor]
) -> dict[Pair, dict[str, Tensor]]:
    """Correlation of every channel of model i with every channel of model j, for each pair (i, j).

    ``batches`` are normalized images (batch, channels, height, width); all models see the same ones.
    Returns, for each pair and group name, a float64 tensor (C, C) with entry [a, b] in [-1, 1] for
    channel a of i and b of j. A channel that never varies has correlation 0 with all others.
    """
    sums: dict[str, _Sums] = {}
    count = dict.fromkeys((group.name for group in groups), 0)
    views = {agent: observed(model.eval(), groups) for agent, model in models.items()}
    with torch.no_grad():
        for images in batches:
            batch = {agent: view(images) for agent, view in views.items()}
            for position, group in enumerate(groups):
                features = {agent: _observations(outputs[position]) for agent, outputs in batch.items()}
                count[group.name] += next(iter(features.values())).shape[1]
                _accumulate(sums, group, features, pairs)
    return {
        pair: {name: _correlation(total, pair, count[name]) for name, total in sums.items()} for pair in pairs
    }


def _observations(features: Tensor) -> Tensor:
    """Features (batch, C, ...) as (C, observations)."""
    return features.float().transpose(0, 1).flatten(1)


def _accumulate(sums: dict[str, _Sums], group: Group, features: dict[int, Tensor], pairs: list[Pair]) -> None:
    if group.name not in sums:
        shift = {agent: rows.mean(1, keepdim=True) for agent, rows in features.items()}
        zeros = {
            agent: torch.zeros(group.size, dtype=torch.float64, device=rows.device)
            for agent, rows in features.items()
        }
        products = {
            (i, j): torch.zeros(group.size, group.size, dtype=torch.float64, device=features[i].device)
            for i, j in pairs
        }
        sums[group.name] = _Sums(
            shift, zeros, {agent: zero.clone() for agent, zero in zeros.items()}, products
        )
    total = sums[group.name]
    shifted = {agent: rows - total.shift[agent] for agent, rows in features.items()}
    for agent, rows in shifted.items():
        total.first[agent] += rows.sum(1)
        total.square[agent] += rows.square().sum(1)
    for i, j in pairs:
        total.product[i, j] += shifted[i] @ shifted[j].T


def _correlation(total: _Sums, pair: Pair, count: int) -> Tensor:
    """Covariance over the product of standard deviations; 0 where a channel does not vary."""
    i, j = pair
    mean_i, mean_j = total.first[i] / count, total.first[j] / count
    covariance = total.product[pair] / count - torch.outer(mean_i, mean_j)
    deviations = []
    for agent, mean in ((i, mean_i), (j, mean_j)):
        variance = total.square[agent] / count - mean.square()
        # Below single-precision round-off of its own scale a channel is constant.
        scale = total.square[agent] / count + total.shift[agent].flatten().double().square()
        deviations.append(torch.where(variance > 1e-12 * scale, variance, torch.inf).sqrt())
    return (covariance / torch.outer(*deviations)).clamp(-1, 1)
