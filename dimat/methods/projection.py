"""The projection of CGA: the nearest direction that no gradient objects to."""

from collections.abc import Sequence

import torch
from torch import Tensor

TOLERANCE = 1e-12
"""A projection is done when the conditions of optimality hold up to this share of the norms."""
SWEEPS = 100_000


def project(gradients: Tensor, constraints: Sequence[Sequence[Tensor]], margin: float = 0.0) -> Tensor:
    """The nearest vectors to ``gradients`` (n, d) with no negative inner product with their ``constraints``.

    ``constraints[i]`` are the vectors (d,) for row i. The problems are solved together, in their dual form:
    with A the constraints, g + A^T v for the v >= ``margin`` that minimizes ||g + A^T v||^2, by exact
    minimization over one coordinate after the other (Hildreth 1957). A margin above 0 adds so much of every
    constraint at least. Vectors are scaled to norm 1, and bounds with them, which changes nothing.
    """
    most = max(map(len, constraints))
    rows = gradients.new_zeros(len(gradients), most, gradients.shape[1], dtype=torch.float64)
    for row, vectors in zip(rows, constraints, strict=True):
        row[: len(vectors)] = torch.stack(list(vectors))
    norms = rows.norm(dim=2)
    rows /= norms[:, :, None].clamp_min(1e-300)
    targets = gradients.double()
    gram = rows @ rows.mT
    least = margin * norms
    slope = (rows @ targets[:, :, None]).squeeze(2) + (gram @ least[:, :, None]).squeeze(2)
    scale = targets.norm(dim=1)
    if margin:
        scale = torch.maximum(scale, least.amax(1))
    v = least.clone()  # slope is that of the dual objective there
    for _ in range(SWEEPS):
        for k in range(most):
            move = torch.maximum(v[:, k] - slope[:, k], least[:, k]) - v[:, k]  # the diagonal of gram is 1
            v[:, k] += move
            slope += gram[:, :, k] * move[:, None]
        # 0 exactly where the conditions of Karush, Kuhn and Tucker hold
        residual = (v - torch.maximum(v - slope, least)).abs().amax(1)
        if bool((residual <= TOLERANCE * scale).all()):
            break
    return (targets + (v[:, None] @ rows).squeeze(1)).to(gradients.dtype)
