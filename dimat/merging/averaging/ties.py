"""TIES: task vectors without their small entries, and without those whose sign the others outvote.

Trim, elect sign, and merge only what agrees (Yadav, Tam, Choshen, Raffel and Bansal 2023, arXiv 2306.01708).
The last step is a sum, as in AdaMerging++: vectors are returned one by one, so that each has coefficients.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def agreeing(vectors: Sequence[Mapping[str, Tensor]], share: float) -> list[dict[str, Tensor]]:
    """What is left of task ``vectors``, each of which keeps a ``share`` of its entries, the largest."""
    shapes = {name: tensor.shape for name, tensor in vectors[0].items()}
    flat = torch.stack([torch.cat([vector[name].flatten() for name in shapes]) for vector in vectors])
    left = elected(trimmed(flat, share))
    parts = zip(
        *(part.unbind() for part in left.split([shape.numel() for shape in shapes.values()], 1)), strict=True
    )
    return [
        {name: part.view(shape) for (name, shape), part in zip(shapes.items(), of_vector, strict=True)}
        for of_vector in parts
    ]


def trimmed(rows: Tensor, share: float) -> Tensor:
    """``rows`` (n, d) with zeros but for the ``share`` of each that is largest in magnitude; one at least.

    Entries as large as the smallest that is kept stay as well.
    """
    kept = max(1, round(share * rows.shape[1]))
    sizes = rows.abs()
    least = sizes.kthvalue(rows.shape[1] - kept + 1, dim=1, keepdim=True).values
    return rows.where(sizes >= least, 0)


def elected(rows: Tensor) -> Tensor:
    """``rows`` (n, d) with zeros where an entry has not the sign of its column's sum.

    A column whose sum is zero takes the sign that most columns have; if as many are positive as negative, it
    keeps what is negative, as in the published code.
    """
    signs = rows.sum(0).sign()
    signs = signs.where(signs != 0, signs.sum().sign())
    return rows.where((rows > 0) == (signs > 0), 0)
