"""What rho' could mean: every reading of a mixing matrix "combined with permutations", against rho.

Of W = [pi_ij P_ij] (N d, N d), and with J the matrix of entries 1 / N:

If Pi u = lambda u, then block i of W (u kron 1) is sum_j pi_ij u_j P_ij 1 = lambda u_i 1, because
permutations leave the vector 1 of R^d as it is. So W (u kron 1) = lambda (u kron 1), whatever they are. Let u
be an eigenvector of Pi whose eigenvalue has the modulus sqrt(rho), orthogonal to 1. Then u kron 1 is
orthogonal to every consensus, coordinate by coordinate or over orbits, so its eigenvalue of W is one that is
read, and its image is sqrt(rho) times as long under each of the operators whose norms are read: *no reading
of W lies below sqrt(rho)*. That does not need P_ji = P_ij^T.

Of products P Pi (N, N) with a permutation P of *agents*: ||P Pi - J||_2 = ||P (Pi - J)||_2 = ||Pi - J||_2 as
P J = J and P is orthogonal. |lambda_2(P Pi)| is at most that and can be smaller, but it is no rate: see
`theory.gap.counterexamples`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy
from numpy import ndarray
from scipy.sparse.linalg import LinearOperator, eigsh

from theory.gap.lift import DENSE, Lift
from theory.gap.verdicts import GapVerdict, from_mean_verdict, of_disagreement_verdict, spectral_verdict


@dataclass(frozen=True)
class Reading:
    """A quantity that could be called sqrt(rho'), of a merge operator."""

    name: str
    definition: str
    of: Callable[[Lift], float]
    verdict: Callable[[Lift], GapVerdict]


def eigenvalue(lift: Lift) -> float:
    """The largest modulus of the eigenvalues of W that are not the 1 of an orbit."""
    return lift.second_modulus()


def from_mean(lift: Lift) -> float:
    """||W - J kron I||_2."""
    return operator_norm(
        lift, lambda x: lift.apply(x) - _mean(x), lambda x: lift.apply(x, transposed=True) - _mean(x)
    )


def of_disagreement(lift: Lift) -> float:
    """||W (I - J kron I)||_2."""

    def transposed(x: ndarray) -> ndarray:
        x = lift.apply(x, transposed=True)
        return x - _mean(x)

    return operator_norm(lift, lambda x: lift.apply(x - _mean(x)), transposed)


def from_limit(lift: Lift) -> float:
    """||W - lim W^k||_2; equal to `eigenvalue` if W is symmetric."""
    if lift.symmetric:
        return lift.second_modulus()
    return operator_norm(
        lift,
        lambda x: lift.apply(x) - lift.project(x),
        lambda x: lift.apply(x, transposed=True) - lift.project(x),
    )


READINGS = (
    Reading("eigenvalue", "largest modulus of the eigenvalues of W below 1", eigenvalue, spectral_verdict),
    Reading(
        "from the mean",
        "||W - J kron I||_2: distance to averaging coordinate by coordinate",
        from_mean,
        from_mean_verdict,
    ),
    Reading(
        "of disagreement",
        "||W (I - J kron I)||_2: factor by which a merge shrinks what differs from the mean",
        of_disagreement,
        of_disagreement_verdict,
    ),
    Reading(
        "from the limit",
        "||W - lim W^k||_2: distance to the averages over orbits",
        from_limit,
        spectral_verdict,
    ),
)


def drift_of_mean(lift: Lift) -> float:
    """||(J kron I)(W - I)||_2: how far a merge moves the mean over agents, relative to the length of all x.

    0 if and only if merging preserves the mean, which proofs by a recursion in the mean take for granted.
    """

    def moved(x: ndarray) -> ndarray:
        return _mean(lift.apply(x) - x) + numpy.zeros_like(x)

    def transposed(x: ndarray) -> ndarray:
        mean = _mean(x) + numpy.zeros_like(x)
        return lift.apply(mean, transposed=True) - mean

    return operator_norm(lift, moved, transposed)


def operator_norm(
    lift: Lift, apply: Callable[[ndarray], ndarray], transposed: Callable[[ndarray], ndarray]
) -> float:
    """The 2-norm of an operator on (N, d), from its action and that of its transpose.

    Exact up to round-off for N d up to `DENSE`; beyond by Lanczos iterations, from below, to about 1e-6.
    """
    shape, n = (lift.agents, lift.size), lift.agents * lift.size
    if n <= DENSE:
        columns = numpy.stack([apply(unit.reshape(shape)).ravel() for unit in numpy.eye(n)])
        return float(numpy.linalg.norm(columns, 2))
    square = LinearOperator(
        (n, n), lambda x: transposed(apply(x.reshape(shape))).ravel(), dtype=numpy.float64
    )
    start = numpy.random.default_rng(0).standard_normal(n)
    (largest,) = eigsh(square, k=1, which="LM", v0=start, tol=1e-6, return_eigenvectors=False)
    return float(numpy.sqrt(max(largest, 0.0)))


def _mean(x: ndarray) -> ndarray:
    return x.mean(axis=0, keepdims=True)


def agent_eigenvalue(mixing: ndarray, order: ndarray) -> float:
    """|lambda_2(P Pi)| with the permutation P of agents, (P x)[i] = x[order[i]]."""
    return float(numpy.sort(abs(numpy.linalg.eigvals(mixing[order])))[-2])


def agent_norm(mixing: ndarray, order: ndarray) -> float:
    """||P Pi - J||_2."""
    return float(numpy.linalg.norm(mixing[order] - 1 / len(mixing), 2))
