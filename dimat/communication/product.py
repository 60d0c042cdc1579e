"""W X: one product, whose rows do not depend on who computes them."""

import warnings
from collections.abc import Mapping

import numpy
import torch
from torch import Tensor


def product(weights: numpy.ndarray, values: Tensor) -> Tensor:
    """``weights`` (n, m) times ``values`` (m, d).

    The product is sparse: a row adds up its members in ascending order and looks at no other, so that one
    program for all agents and a process for each give the same bits. A dense product rounds differently when
    it has other rows.
    """
    dense = torch.as_tensor(weights, dtype=values.dtype, device=values.device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support", UserWarning)
        return dense.to_sparse_csr() @ values


def weighted_sum(rows: Mapping[int, Tensor], weights: numpy.ndarray) -> Tensor:
    """The sum of ``rows`` (d,), by agent, with ``weights`` (N,), as in a row of `product`."""
    members = sorted(rows)
    return product(weights[None, members], torch.stack([rows[member] for member in members]))[0]
