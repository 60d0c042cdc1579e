"""Whether permutations change the spectral gap: readings of sqrt(rho') against sqrt(rho), decided in balls.

Balls cannot show that numbers are equal; arguments can. Where all permutations are the identity, W is
Pi kron I. On an orbit of one coordinate W is Pi, entry by entry. On an orbit of m, W leaves both the vectors
u kron 1 and those whose entries sum to 0 at every agent to themselves: its spectrum is that of Pi, and, but
for zeros, that of W - Pi kron J_m. Where that lies strictly below sqrt(rho), rho' = rho. The same goes for
the norms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Literal

import numpy
from flint import arb, fmpq, fmpq_mat

from dimat.errors import InputError
from dimat.topology.mixing import round_off
from theory.gap.enclosure import DOUBLE, MOST_BITS, exact_mixing, is_less, norm, second_modulus
from theory.gap.lift import Lift
from theory.gap.permutations import identity

MOST_ROWS = 160
"""Of a matrix whose characteristic polynomial is computed: a second or two."""
LARGE = 64
"""Rows of a matrix beyond which only double precision is tried: more takes minutes."""

Relation = Literal["above", "equal", "below", "undecided"]


@dataclass(frozen=True)
class GapVerdict:
    """A reading of sqrt(rho') in relation to sqrt(rho), the balls around both, and why."""

    relation: Relation
    reading: arb
    root: arb
    because: str


def spectral_verdict(lift: Lift) -> GapVerdict:
    """The largest modulus of the eigenvalues of W below 1, which is also ||W - lim W^k||_2, if W = W^T.

    `InputError` unless W is symmetric and its weights are rational (see `exact_mixing`).
    """
    root = _root(lift)
    orbits = [orbit for m, members in lift.orbit_sizes.items() if m > 1 for orbit in members]
    if not orbits:
        return GapVerdict("equal", root(), root(), "all cycles close: W = Q (Pi kron I) Q^T")
    mixing = exact_mixing(lift.mixing)
    largest = max(orbits, key=len)
    if lift.agents * len(largest) > LARGE:
        found = slow_eigenvalue(lift.on(largest))
        if root() < found < 1:
            return GapVerdict("above", found, root(), "an eigenvalue of W lies between sqrt(rho) and 1")
    new = [exact_operator(lift.on(orbit)) - _spread(mixing, len(orbit)) for orbit in orbits]

    reading = reduce(arb.max, map(norm, new), root())
    relations = [relation(root, partial(norm, matrix), _most_bits(matrix)) for matrix in new]
    if "above" in relations:
        return GapVerdict("above", reading, root(), "the balls are apart")
    if "undecided" in relations:
        return GapVerdict("undecided", reading, root(), "the balls overlap")
    return GapVerdict("equal", reading, root(), "what spec(W) has beyond spec(Pi) lies below sqrt(rho)")


def slowest_verdict(lift: Lift) -> GapVerdict:
    """Of one eigenvalue of W below 1, which the first reading is no smaller than; W need not be symmetric.

    It is that which is largest in doubles; if W != W^T, on orbits of at most `MOST_ROWS` rows, where it is a
    root of the characteristic polynomial, which is exact. Never "below", as an eigenvalue of Pi is one of W.
    `InputError` unless the mixing matrix is symmetric and its weights are rational.
    """
    root = _root(lift, of_merge=False)
    orbits = [orbit for m, members in lift.orbit_kinds.items() if m > 1 for orbit in members]
    if not orbits:
        return GapVerdict("equal", root(), root(), "all cycles close: W = Q (Pi kron I) Q^T")
    if not lift.symmetric:
        orbits = [orbit for orbit in orbits if lift.agents * len(orbit) <= MOST_ROWS]
    if not orbits:
        return GapVerdict("undecided", root(), root(), f"all orbits have more than {MOST_ROWS} rows")
    slowest = max((lift.on(orbit) for orbit in orbits), key=Lift.second_modulus)
    found = slow_eigenvalue(slowest) if lift.symmetric else second_modulus(exact_operator(slowest))
    if root() < found < 1:
        return GapVerdict("above", found, root(), "an eigenvalue of W lies between sqrt(rho) and 1")
    return GapVerdict("undecided", found, root(), "the balls overlap")


def slow_eigenvalue(lift: Lift) -> arb:
    """The modulus of an eigenvalue of W = W^T, near the largest besides 1, in a ball that surely holds it.

    For any x != 0 and theta there is an eigenvalue within ||W x - theta x|| / ||x|| of theta.
    """
    theta, vector = lift.slowest()
    weights = exact_mixing(lift.mixing)
    x = [[arb(float(entry)) for entry in row] for row in vector]
    apart = [[(weights[i, i] - arb(theta)) * entry for entry in row] for i, row in enumerate(x)]
    for (i, j), order in lift.permutations.items():
        for place, other in enumerate(order.tolist()):
            apart[i][place] += weights[i, j] * x[j][other]
    distance = (_sum_of_squares(apart) / _sum_of_squares(x)).sqrt()
    return abs(arb(theta, distance.upper()))


def _sum_of_squares(rows: list[list[arb]]) -> arb:
    return sum((entry * entry for row in rows for entry in row), start=arb(0))


def from_mean_verdict(lift: Lift) -> GapVerdict:
    """||W - J kron I||_2; errors as in `spectral_verdict`."""
    return _norm_verdict(lift, lambda merge, mean: merge - mean)


def of_disagreement_verdict(lift: Lift) -> GapVerdict:
    """||W (I - J kron I)||_2; errors as in `spectral_verdict`."""
    return _norm_verdict(lift, lambda merge, mean: merge - merge * mean)


def _norm_verdict(lift: Lift, of: Callable[[fmpq_mat, fmpq_mat], fmpq_mat]) -> GapVerdict:
    root = _root(lift)
    merge = exact_operator(lift)
    if merge == exact_operator(identity(lift.mixing, lift.size)):
        return GapVerdict("equal", root(), root(), "all permutations are the identity: W = Pi kron I")
    everyone = numpy.full((lift.agents, lift.agents), 1 / lift.agents)
    matrix = of(merge, exact_operator(identity(everyone, lift.size)))
    found, because = relation(root, partial(norm, matrix), _most_bits(matrix)), "the balls are apart"
    if found == "undecided":
        apart = exact_mixing(lift.mixing) - _j(lift.agents)
        new = matrix - _spread(apart, lift.size)
        equal = is_less(partial(norm, new), root, _most_bits(new))
        found = "equal" if equal else "undecided"
        because = "off all u kron 1 the norm lies below sqrt(rho)" if equal else "the balls overlap"
    return GapVerdict(found, norm(matrix), root(), because)


def relation(root: Callable[[], arb], reading: Callable[[], arb], most_bits: int = MOST_BITS) -> Relation:
    """A reading in relation to sqrt(rho), as `is_less` finds it; never "equal", which balls cannot show."""
    above = is_less(root, reading, most_bits)
    if above is None:
        return "undecided"
    return "above" if above else "below"


def _most_bits(matrix: fmpq_mat) -> int:
    return MOST_BITS if matrix.nrows() <= LARGE else DOUBLE


def _root(lift: Lift, *, of_merge: bool = True) -> Callable[[], arb]:
    """sqrt(rho), where W, or at least the mixing matrix, is symmetric."""
    even = lift.symmetric if of_merge else abs(lift.mixing - lift.mixing.T).max() <= round_off(lift.mixing)
    if not even:
        needed = "P_ji = P_ij^T and a symmetric" if of_merge else "a symmetric"
        raise InputError(f"permutations: {needed} mixing matrix is needed for a verdict")
    apart = exact_mixing(lift.mixing) - _j(lift.agents)
    return partial(norm, apart)


def exact_operator(lift: Lift) -> fmpq_mat:
    """W (N d, N d), rational."""
    mixing, size = exact_mixing(lift.mixing), lift.size
    matrix = fmpq_mat(lift.agents * size, lift.agents * size)
    for agent in range(lift.agents):
        for place in range(size):
            matrix[agent * size + place, agent * size + place] = mixing[agent, agent]
    for (i, j), order in lift.permutations.items():
        for place, other in enumerate(order.tolist()):
            matrix[i * size + place, j * size + other] = mixing[i, j]
    return matrix


def inherits_spectrum(merge: fmpq_mat, mixing: fmpq_mat) -> bool:
    """Whether W (u kron 1) = (Pi u) kron 1 for all u, exactly: then spec(Pi) is in spec(W)."""
    agents, size = mixing.nrows(), merge.nrows() // mixing.nrows()
    repeat = fmpq_mat(
        [[int(row // size == agent) for agent in range(agents)] for row in range(agents * size)]
    )
    return merge * repeat == repeat * mixing


def _spread(matrix: fmpq_mat, size: int) -> fmpq_mat:
    """The Kronecker product of ``matrix`` with J of ``size``."""
    rows = range(matrix.nrows() * size)
    return fmpq_mat([[matrix[i // size, j // size] / size for j in rows] for i in rows])


def _j(agents: int) -> fmpq_mat:
    return fmpq_mat(agents, agents, [fmpq(1, agents)] * agents**2)
