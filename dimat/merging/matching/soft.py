"""Soft maps between neurons, by optimal transport (as in OT fusion, Singh and Jaggi 2020).

Where a permutation says which channel of a network goes with one of another, a soft map says how much of
each does: a doubly stochastic matrix S, row for row what stands in a place. It maximizes

    sum_bc S[b, c] scores[b, c] + temperature * entropy(S),

with the scores of the matcher, and is found by scaling rows and columns in turn (Sinkhorn and Knopp 1967;
Cuturi 2013). As the temperature falls to 0, S becomes the permutation of the linear assignment.

A neighbour's network is re-expressed by it: each new channel is the mean of old ones by the shares of its
row, in what puts the channel out and, as in OT fusion, in what takes it. Only a permutation leaves the
network's function as it was. Where the scores of a group depend on the orders of others, as for weights,
these are in the best permutations that were found; OT fusion goes from the first layer to the last instead.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from dimat.errors import InputError
from dimat.merging.matching.matcher import Similarity, Soft
from dimat.models.groups import Group, Permutations, units_of

STEPS = 1000
"""Rows and columns are scaled so often at most."""
WARM = 10
"""And so often at each of the higher temperatures before, from which low ones are reached sooner."""
CLOSE = 1e-9
"""Sums of rows and columns so near to 1 are enough; what is left is dealt out."""


def soft_maps(
    similarity: Similarity, groups: Sequence[Group], permutations: Permutations, temperature: float
) -> Soft:
    """A map for each group, on the CPU, with all other groups in the order of ``permutations``.

    ``temperature`` counts in what a perfectly matched channel adds to the scores. Groups that show nothing
    to compare stay in place. Of blocks (heads), each pair has a map of channels inside, and blocks have one.
    """
    found: dict[str, Tensor] = {}
    for unit in units_of(groups):
        scores = [similarity.scores(group, permutations).cpu().double() for group in unit]
        blocks = unit[0].blocks or 1
        totals, whole, inside = torch.zeros(blocks, blocks, dtype=torch.float64), 0.0, []
        for group, of_group in zip(unit, scores, strict=True):
            size, scale = group.size // blocks, similarity.scale(group)
            parts = of_group.view(blocks, size, blocks, size).transpose(1, 2).flatten(0, 1)
            maps = torch.stack([transport(part, temperature * scale) for part in parts])
            totals += (maps * parts).sum((1, 2)).view(blocks, blocks)
            whole += scale * size
            inside.append(maps.view(blocks, blocks, size, size))
        heads = transport(totals, temperature * whole)
        for group, maps in zip(unit, inside, strict=True):
            shares = heads[:, :, None, None] * maps
            found[group.name] = shares.transpose(1, 2).reshape(group.size, group.size)
    return found


def transposed(soft: Soft) -> Soft:
    """The maps the other way round: S_ji = S_ij^T."""
    return {name: shares.T for name, shares in soft.items()}


def transport(scores: Tensor, temperature: float) -> Tensor:
    """The doubly stochastic matrix (C, C) of some ``scores`` (C, C), float64, at a ``temperature``.

    At 0, where nothing is to be told apart, it is the identity. Where `STEPS` are too few, which happens at
    low temperatures, the matrix is doubly stochastic all the same, and nearly the best.
    `InputError` if scores are not finite, as of networks that diverged.
    """
    if not scores.isfinite().all():
        raise InputError("matching: features or weights are not finite; expected networks that are")
    if not temperature:
        return torch.eye(len(scores), dtype=torch.float64)
    rows, columns = scores.new_zeros(len(scores), 1), scores.new_zeros(1, len(scores))
    now = max(temperature, float(scores.max() - scores.min()))
    while True:
        for _ in range(STEPS if now == temperature else WARM):
            rows = -now * torch.logsumexp((scores + columns) / now, 1, keepdim=True)
            before, columns = columns, -now * torch.logsumexp((scores + rows) / now, 0, keepdim=True)
            if float(torch.expm1((before - columns) / now).abs().max()) < CLOSE:
                break
        if now == temperature:
            return doubly_stochastic(((scores + rows + columns) / now).exp())
        now = max(temperature, now / 2)


def doubly_stochastic(shares: Tensor) -> Tensor:
    """The nearly doubly stochastic ``shares`` (C, C) with rows and columns that sum to 1.

    By algorithm 2 of Altschuler, Weed and Rigollet 2017: what is too much is taken off, and what is missing
    is dealt out.
    """
    shares = shares / shares.sum(1, keepdim=True).clamp_min(1)
    shares = shares / shares.sum(0, keepdim=True).clamp_min(1)
    rows, columns = ((1 - shares.sum(axis, keepdim=True)).clamp_min(0) for axis in (1, 0))
    return shares + rows * columns / columns.sum().clamp_min(1e-300)
