"""W X: one product, whose rows do not depend on who computes them."""

import warnings
from collections.abc import Mapping
from functools import lru_cache

import numpy
import torch
from torch import Tensor


def product(weights: numpy.ndarray, values: Tensor) -> Tensor:
    """``weights`` (n, m) times ``values`` (m, d).

    On a CPU the product is sparse: a row adds up its members in ascending order and looks at no other, so
    that one program for all agents and a process for each give the same bits. A dense product rounds
    differently when it has other rows. On a GPU it is dense all the same, as sparse ones there give other
    bits each time.
    """
    matrix = _on_device(weights.tobytes(), weights.dtype.str, weights.shape, values.dtype, values.device)
    return (matrix if values.device.type != "cpu" else _sparse(matrix)) @ values


@lru_cache(maxsize=64)
def _on_device(
    content: bytes, kind: str, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """A matrix on a device, where graphs that stay as they are send it once."""
    weights = numpy.frombuffer(content, dtype=kind).reshape(shape)
    return torch.tensor(weights, dtype=dtype).to(device, non_blocking=True)


def _sparse(matrix: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support", UserWarning)
        return matrix.to_sparse_csr()


def weighted_sum(rows: Mapping[int, Tensor], weights: numpy.ndarray) -> Tensor:
    """The sum of ``rows`` (d,), by agent, with ``weights`` (N,), as in a row of `product`.

    What a sender sends may differ from link to link, so that each receiver sums up what it has received.
    """
    members = sorted(rows)
    return product(weights[None, members], torch.stack([rows[member] for member in members]))[0]
