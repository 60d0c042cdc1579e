"""Mixing matrices: what they must satisfy, and how fast they average.

Entry [i, j] is the weight that receiver i gives to what sender j sent. Columns that sum to 1 preserve the
sum over agents; rows that do as well (doubly stochastic) also keep a consensus once it is reached.
"""

import numpy

from dimat.errors import InputError


def round_off(matrix: numpy.ndarray) -> float:
    """The largest error in a sum over the rows or columns of ``matrix`` (N, N) that passes for round-off."""
    return 1e-12 * len(matrix)


def check_mixing_matrix(matrix: numpy.ndarray, directed: bool = False) -> None:
    """`InputError` unless ``matrix`` (N, N) mixes as its kind of graph must.

    That is nonnegative, symmetric and doubly stochastic for an undirected graph, and nonnegative and
    column-stochastic for a directed one.
    """
    faults = {"negative": -matrix.min()}
    if directed:
        faults["not stochastic in its columns"] = abs(matrix.sum(axis=0) - 1).max()
    else:
        faults["not symmetric"] = abs(matrix - matrix.T).max()
        faults["not stochastic in its rows"] = abs(matrix.sum(axis=1) - 1).max()
    tolerance = round_off(matrix)
    for fault, size in faults.items():
        if not size <= tolerance:
            raise InputError(f"mixing matrix: {fault} by {size:.3g}; at most {tolerance:.1g} is round-off")


def is_doubly_stochastic(matrix: numpy.ndarray) -> bool:
    """Whether all rows and columns of the nonnegative ``matrix`` (N, N) sum to 1, up to round-off."""
    sums = numpy.concatenate([matrix.sum(axis=0), matrix.sum(axis=1)])
    return bool(abs(sums - 1).max() <= round_off(matrix))


def second_eigenvalue(matrix: numpy.ndarray) -> float:
    """The contraction factor of ``matrix`` (N, N); 0 for a single agent.

    For a symmetric matrix it is max(|lambda_2|, |lambda_N|), sqrt(rho) in the analysis. That equals
    ||W - J||_2, the factor by which one step shrinks the disagreement in the Euclidean norm, J = 11^T / N,
    which is returned for every other doubly stochastic matrix. Where only columns sum to 1, it is the second
    largest modulus of the eigenvalues: the factor by which many steps shrink it, per step.
    """
    if len(matrix) == 1:
        return 0.0
    if abs(matrix - matrix.T).max() <= round_off(matrix):
        magnitudes = abs(numpy.linalg.eigvalsh(matrix))
    elif is_doubly_stochastic(matrix):
        return float(numpy.linalg.norm(matrix - 1 / len(matrix), 2))
    else:
        magnitudes = abs(numpy.linalg.eigvals(matrix))
    return float(numpy.sort(magnitudes)[-2])


def spectral_gap(matrix: numpy.ndarray) -> float:
    """1 - `second_eigenvalue`."""
    return 1 - second_eigenvalue(matrix)
