"""From correlations to permutations."""

import torch
from torch import Tensor

from dimat.errors import InputError
from dimat.models.symmetry import Permutations


def best_permutation(scores: Tensor) -> Tensor:
    """The permutation p that maximizes sum_b ``scores[b, p[b]]`` for square ``scores`` (C, C).

    `InputError` if they are not finite, as of networks that diverged.
    """
    from scipy.optimize import linear_sum_assignment  # takes as long to import as all of dimat

    if not scores.isfinite().all():
        raise InputError("matching: features or weights are not finite; expected networks that are")
    _, columns = linear_sum_assignment(scores.cpu().double().numpy(), maximize=True)
    return torch.from_numpy(columns)


def inverse(permutations: Permutations) -> dict[str, Tensor]:
    """The inverse of each permutation: P_ji = P_ij^T."""
    return {group: permutation.argsort() for group, permutation in permutations.items()}
