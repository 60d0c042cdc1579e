"""Merging with permutations as a random walk on a lift of the communication graph.

The merge operator W = [pi_ij P_ij] acts on the parameters x_i in R^d of N agents. It only moves and averages
entries: it is the random-walk matrix of a graph with one node for each coordinate of each agent, d nodes over
each agent (a d-fold lift). In coordinates in which the permutations along a spanning tree are the identity,
those of the other links are products of permutations around the fundamental cycles: the holonomy. Each of
its orbits on the d coordinates is a connected component of the lift, W is the direct sum over the orbits,
and no matrix is ever larger than one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy
import scipy.sparse
from numpy import ndarray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigs, eigsh

from dimat.errors import InputError
from dimat.merging.matching.frames import spanning_tree
from dimat.topology import is_doubly_stochastic
from dimat.topology.mixing import round_off

Pair = tuple[int, int]

DENSE = 1200
"""Rows of the largest matrix of which all eigenvalues are computed."""

ENTRIES = 2**24
"""Entries of matrices that are solved at once (128 MiB)."""


@dataclass(frozen=True, eq=False)
class Lift:
    """W = [pi_ij P_ij] of a mixing matrix and permutations of d coordinates, with P_ii = I.

    ``permutations`` has an index array (d,) for every i != j with pi_ij > 0: (P_ij x)[c] = x[order[c]], as in
    `dimat.models.symmetry`. `InputError` unless ``mixing`` (N, N) is nonnegative, doubly stochastic and
    connected, and the permutations are permutations, of one size, and P_ji = P_ij^T.
    """

    mixing: ndarray
    permutations: Mapping[Pair, ndarray]
    inverse: bool = True
    """Whether P_ji = P_ij^T is required. Matchings on each agent's own images are not so."""

    def __post_init__(self) -> None:
        if self.mixing.min() < 0 or not is_doubly_stochastic(self.mixing):
            raise InputError("mixing matrix: negative, or its rows and columns do not all sum to 1")
        links = {(int(i), int(j)) for i, j in numpy.argwhere(self.mixing) if i != j}
        if wrong := sorted(links ^ set(self.permutations)):
            raise InputError(f"permutations: {wrong[0]} has a weight or a permutation, but not both")
        for pair, order in self.permutations.items():
            if not numpy.array_equal(numpy.sort(order), numpy.arange(self.size)):
                raise InputError(f"permutations: that of {pair} is no permutation of 0 to {self.size - 1}")
        if self.inverse and (wrong := sorted(set(self.permutations) - self.mutual)):
            raise InputError(
                f"permutations: those of {wrong[0]} and its reverse are not inverse to each other; expected "
                "P_ji = P_ij^T"
            )
        if len(self._tree) != self.agents - 1:
            raise InputError("mixing matrix: its links do not connect all agents")

    @property
    def agents(self) -> int:
        """N."""
        return len(self.mixing)

    @cached_property
    def size(self) -> int:
        """The number d of coordinates of one agent; 1 for an agent without links."""
        return len(next(iter(self.permutations.values()), [0]))

    @cached_property
    def mutual(self) -> set[Pair]:
        """The (i, j) with P_ji = P_ij^T, or without a P_ji."""
        places = numpy.arange(self.size)
        return {
            (i, j)
            for (i, j), order in self.permutations.items()
            if (back := self.permutations.get((j, i))) is None or (back[order] == places).all()
        }

    @cached_property
    def symmetric(self) -> bool:
        """Whether W = W^T."""
        return self.mutual == set(self.permutations) and bool(
            abs(self.mixing - self.mixing.T).max() <= round_off(self.mixing)
        )

    def apply(self, x: ndarray, transposed: bool = False) -> ndarray:
        """W x, or W^T x, for ``x`` (N, d) or (N, d, any number)."""
        result = numpy.einsum("i,i...->i...", self.mixing.diagonal(), x)
        for (i, j), order in self.permutations.items():
            if transposed:
                result[j][order] += self.mixing[i, j] * x[i]
            else:
                result[i] += self.mixing[i, j] * x[j][order]
        return result

    def operator(self) -> scipy.sparse.csr_array:
        """W as a sparse matrix (N d, N d), agent by agent."""
        places = numpy.arange(self.size)
        blocks = {(i, i): places for i in range(self.agents)} | dict(self.permutations)
        rows = numpy.concatenate([i * self.size + places for i, _ in blocks])
        columns = numpy.concatenate([j * self.size + order for (_, j), order in blocks.items()])
        weights = numpy.repeat([self.mixing[pair] for pair in blocks], self.size)
        size = self.agents * self.size
        return scipy.sparse.csr_array((weights, (rows, columns)), shape=(size, size))

    # Holonomy.

    @cached_property
    def _tree(self) -> list[Pair]:
        return spanning_tree(self.permutations, self.agents)

    @cached_property
    def frames(self) -> dict[int, ndarray]:
        """For each agent, the coordinate (d,) that the tree matches to each coordinate of agent 0."""
        frames = {0: numpy.arange(self.size)}
        for parent, agent in self._tree:
            onward = self.permutations.get((parent, agent))
            if onward is None:
                onward = inverse_of(self.permutations[agent, parent])
            frames[agent] = onward[frames[parent]]
        return frames

    @cached_property
    def holonomy(self) -> dict[Pair, ndarray]:
        """For every (i, j) the permutation (d,) around the cycle that it closes, as one of agent 0.

        It goes down the tree to i, along P_ij, and back up from j; along the tree itself it is the identity.
        """
        back = {agent: inverse_of(frame) for agent, frame in self.frames.items()}
        return {(i, j): back[j][order[self.frames[i]]] for (i, j), order in self.permutations.items()}

    @cached_property
    def generators(self) -> dict[Pair, ndarray]:
        """The holonomy without the tree, and without what is the inverse of another."""
        inside = {pair if pair in self.permutations else pair[::-1] for pair in self._tree}
        return {
            pair: order
            for pair, order in self.holonomy.items()
            if pair not in inside and not (self._both(pair) and (pair[::-1] in inside or pair[0] > pair[1]))
        }

    def _both(self, pair: Pair) -> bool:
        return pair in self.mutual and pair[::-1] in self.permutations

    @cached_property
    def consistent(self) -> bool:
        """Whether all cycles close: P_ij = Q_i Q_j^T, so W = Q (Pi kron I) Q^T, exactly."""
        return all((order == numpy.arange(self.size)).all() for order in self.generators.values())

    def closures(self) -> dict[Pair, float]:
        """For each fundamental cycle, the share of coordinates that return to themselves."""
        places = numpy.arange(self.size)
        return {pair: float((order == places).mean()) for pair, order in self.generators.items()}

    @cached_property
    def orbits(self) -> ndarray:
        """The orbit (d,), from 0 on, of each coordinate of agent 0 under the holonomy."""
        orders = list(self.generators.values()) or [numpy.arange(self.size)]
        rows, columns = numpy.tile(numpy.arange(self.size), len(orders)), numpy.concatenate(orders)
        ones = numpy.ones(len(rows), dtype=numpy.int8)
        links = scipy.sparse.coo_array((ones, (rows, columns)), shape=(self.size, self.size))
        return connected_components(links, directed=False)[1]

    @property
    def capacity(self) -> int:
        """The number of orbits: the multiplicity of the eigenvalue 1, d if and only if all cycles close."""
        return int(self.orbits.max()) + 1

    def aligned(self, x: ndarray) -> ndarray:
        """``x`` (N, d) in the coordinates of agent 0: Q_i^T x_i.

        If all cycles close, merging is plain averaging there: aligned(W x) = Pi aligned(x).
        """
        return numpy.stack([x[agent][self.frames[agent]] for agent in range(self.agents)])

    def project(self, x: ndarray) -> ndarray:
        """The limit of W^k x for ``x`` (N, d): every orbit averaged, over all agents."""
        sums = numpy.bincount(self.orbits, self.aligned(x).mean(axis=0))
        means = (sums / numpy.bincount(self.orbits))[self.orbits]
        result = numpy.empty(x.shape)
        for agent, frame in self.frames.items():
            result[agent][frame] = means
        return result

    def on(self, orbit: ndarray) -> "Lift":
        """W on one orbit (m,), in the order in which it is given of the coordinates of agent 0."""
        local = numpy.empty(self.size, dtype=int)
        local[orbit] = numpy.arange(len(orbit))
        orders = {pair: local[order[orbit]] for pair, order in self.holonomy.items()}
        return Lift(self.mixing, orders, self.inverse)

    # The spectrum.

    @cached_property
    def orbit_sizes(self) -> dict[int, ndarray]:
        """Size m of orbits to the coordinates (number of such orbits, m) of agent 0 in each of them."""
        sizes = numpy.bincount(self.orbits)
        order = numpy.argsort(self.orbits, kind="stable")
        ends = sizes.cumsum()
        return {
            int(m): order[(ends - sizes)[sizes == m][:, None] + numpy.arange(m)] for m in numpy.unique(sizes)
        }

    def spectrum(self) -> ndarray:
        """All N d eigenvalues of W, ascending; complex and in no order unless W is symmetric.

        Exact up to round-off. `InputError` if the graph has several cycles and an orbit is too large for
        dense matrices.
        """
        found = []
        for m, members in self.orbit_sizes.items():
            if self._is_large(m):
                raise InputError(
                    f"spectrum: an orbit of {m} coordinates in a graph of several cycles; expected orbits of "
                    f"at most {DENSE // self.agents} coordinates"
                )
            values = self._of_orbits(m, members)
            found.append(numpy.tile(values.ravel(), len(members) // len(values)))
        values = numpy.concatenate(found)
        return numpy.sort(values) if self.symmetric else values

    def second_modulus(self) -> float:
        """The largest modulus of the eigenvalues of W, besides a 1 for each orbit.

        Exact up to round-off (where W is not symmetric, multiple eigenvalues lose digits). For large orbits
        in a graph of several cycles (see `spectrum`) it comes from Lanczos or Arnoldi iterations, and there
        is an eigenvalue within about 1e-6 of it.
        """
        largest = 0.0
        for m, members in self.orbit_kinds.items():
            if self._is_large(m):
                found = max(self._iterated(orbit) for orbit in members)
            else:
                moduli = numpy.sort(abs(self._of_orbits(m, members)))
                found = float(moduli[:, -2].max()) if self.agents > 1 else 0.0
            largest = max(largest, found)
        return largest

    @cached_property
    def orbit_kinds(self) -> dict[int, ndarray]:
        """`orbit_sizes`, one of each kind of orbits: W is the same on all others, entry by entry.

        Of the entries of a convolution's kernel one is left, as a channel moves all of its own alike.
        """
        return {m: self._distinct(members) for m, members in self.orbit_sizes.items()}

    def _distinct(self, members: ndarray) -> ndarray:
        local = numpy.empty(self.size, dtype=int)
        local[members] = numpy.arange(members.shape[1])
        orders = [local[order[members]] for order in self.generators.values()]
        if not orders:
            return members[:1]
        _, first = numpy.unique(numpy.concatenate(orders, axis=1), axis=0, return_index=True)
        return members[numpy.sort(first)]

    def _is_large(self, m: int) -> bool:
        return m > 1 and len(self.generators) > 1 and self.agents * m > DENSE

    def _of_orbits(self, m: int, members: ndarray) -> ndarray:
        """Eigenvalues (number, N m) of orbits of m coordinates; of one, if those of all are the same."""
        if m == 1:
            return self._eigenvalues(self.mixing[None])
        if len(self.generators) == 1:
            return self._of_cycle(m)
        at_once = max(1, ENTRIES // (self.agents * m) ** 2)
        chunks = [members[start : start + at_once] for start in range(0, len(members), at_once)]
        return numpy.concatenate([self._eigenvalues(self._restricted(chunk)) for chunk in chunks])

    def _of_cycle(self, m: int) -> ndarray:
        """Eigenvalues (1, N m) of an orbit around which one permutation turns.

        It commutes with W, and its eigenvalues are the m-th roots of unity: for each of them, w, W acts as Pi
        with pi_ij w in place of pi_ij, and pi_ji / w of pi_ji, on the one link (i, j) off the tree. The
        conjugate of w gives the conjugate eigenvalues.
        """
        ((i, j),) = self.generators
        k = numpy.arange(m)
        roots = numpy.exp(2j * numpy.pi * k[: m // 2 + 1] / m)
        twisted = numpy.tile(self.mixing.astype(complex), (len(roots), 1, 1))
        twisted[:, i, j] *= roots
        if self._both((i, j)):
            twisted[:, j, i] *= roots.conj()
        values = self._eigenvalues(twisted)[numpy.minimum(k, m - k)]
        return numpy.where(2 * k[:, None] > m, values.conj(), values).reshape(1, -1)

    def _restricted(self, members: ndarray) -> ndarray:
        """W on orbits ``members`` (number, m) in the coordinates of agent 0: (number, N m, N m)."""
        number, m = members.shape
        local = numpy.empty(self.size, dtype=int)
        local[members] = numpy.arange(m)
        blocks = numpy.zeros((number, self.agents, m, self.agents, m))
        which, places = numpy.arange(number)[:, None], numpy.arange(m)
        for agent in range(self.agents):
            blocks[:, agent, places, agent, places] = self.mixing[agent, agent]
        for (i, j), order in self.holonomy.items():
            blocks[which, i, places, j, local[order[members]]] = self.mixing[i, j]
        return blocks.reshape(number, self.agents * m, self.agents * m)

    def _iterated(self, orbit: ndarray) -> float:
        """The second largest modulus on one orbit (m,)."""
        matrix = self.on(orbit).operator()
        solve = eigsh if self.symmetric else eigs
        start = numpy.random.default_rng(0).standard_normal(matrix.shape[0])
        values = solve(matrix, k=2, which="LM", v0=start, tol=1e-6, return_eigenvectors=False)
        return float(abs(values).min())

    def slowest(self) -> tuple[float, ndarray]:
        """About the second largest eigenvalue in modulus of W = W^T with one orbit, and its vector (N, d)."""
        matrix = self.operator()
        if self.agents * self.size <= DENSE:
            values, vectors = numpy.linalg.eigh(matrix.toarray())
        else:
            start = numpy.random.default_rng(0).standard_normal(matrix.shape[0])
            values, vectors = eigsh(matrix, k=2, which="LM", v0=start, tol=1e-9)
        second = numpy.argsort(abs(values))[-2]
        return float(values[second]), vectors[:, second].reshape(self.agents, self.size)

    def _eigenvalues(self, matrices: ndarray) -> ndarray:
        """Eigenvalues (number, n) of matrices (number, n, n)."""
        return (numpy.linalg.eigvalsh if self.symmetric else numpy.linalg.eigvals)(matrices)


def inverse_of(order: ndarray) -> ndarray:
    """The index array (d,) of the inverse permutation."""
    inverse = numpy.empty_like(order)
    inverse[order] = numpy.arange(len(order))
    return inverse
