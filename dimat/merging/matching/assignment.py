"""From correlations to permutations."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dimat.errors import InputError
from dimat.models.groups import Permutations, of_blocks


def best_permutation(scores: Tensor) -> Tensor:
    """The permutation p that maximizes sum_b ``scores[b, p[b]]`` for square ``scores`` (C, C).

    `InputError` if they are not finite, as of networks that diverged.
    """
    from scipy.optimize import linear_sum_assignment  # takes as long to import as all of dimat

    here = scores.cpu().double()
    if not here.isfinite().all():
        raise InputError("matching: features or weights are not finite; expected networks that are")
    _, columns = linear_sum_assignment(here.numpy(), maximize=True)
    return torch.from_numpy(columns)


def best_permutations(scores: Sequence[Tensor], blocks: int) -> list[Tensor]:
    """The permutations, one of each group, that maximize the sum of all their scores (C, C).

    With ``blocks``, they exchange so many blocks as wholes, all groups alike, and channels inside of each:
    first, channels are matched for each pair of blocks, then blocks by how well that went.
    """
    if not blocks:
        return [best_permutation(of_group) for of_group in scores]
    totals = torch.zeros(blocks, blocks, dtype=torch.float64)
    inside: list[list[list[Tensor]]] = []
    for of_group in scores:
        size = len(of_group) // blocks
        parts = of_group.cpu().double().view(blocks, size, blocks, size).transpose(1, 2)
        orders = [[best_permutation(part) for part in row] for row in parts]
        places = torch.arange(size)
        for one, row in enumerate(orders):
            for other, order in enumerate(row):
                totals[one, other] += parts[one, other][places, order].sum()
        inside.append(orders)
    heads = best_permutation(totals)
    return [
        of_blocks(heads, [row[head] for row, head in zip(orders, heads.tolist(), strict=True)])
        for orders in inside
    ]


def inverse(permutations: Permutations) -> dict[str, Tensor]:
    """The inverse of each permutation: P_ji = P_ij^T."""
    return {group: permutation.argsort() for group, permutation in permutations.items()}
