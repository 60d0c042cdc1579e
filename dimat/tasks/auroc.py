"""How well scores tell positives from negatives, whatever the threshold: the area under the ROC curve."""

import torch
from torch import Tensor


def auroc(scores: Tensor, labels: Tensor) -> float:
    """Share of the pairs of a positive (label 1) and a negative (0) whose ``scores`` (n,) are in order.

    Pairs of equal scores count half. Exact: pairs are counted, as whole numbers. Both classes must be there.
    """
    positives, negatives = scores[labels == 1].contiguous(), scores[labels == 0].sort().values
    below = sum(_places(negatives, positives, right) for right in (False, True))
    return below / (2 * len(positives) * len(negatives))


def _places(sorted_scores: Tensor, scores: Tensor, right: bool) -> int:
    """The sum over ``scores`` of how many of the sorted ones are lower, or, ``right``, not higher."""
    return int(torch.searchsorted(sorted_scores, scores, right=right).sum())
