"""The smallest cases in which a plausible statement about merging with permutations is wrong, by search."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import permutations, product

import numpy
from flint import arb, fmpq_mat
from numpy import ndarray

from dimat.topology import Graph
from theory.gap.enclosure import exact_mixing, is_less, second_modulus
from theory.gap.graphs import COMPLETE, RING
from theory.gap.lift import Lift
from theory.gap.readings import agent_eigenvalue
from theory.gap.verdicts import GapVerdict, spectral_verdict


@dataclass(frozen=True)
class SequenceCounterexample:
    """Permutations of agents whose products with Pi, in turn, contract worse than each by itself.

    ``orders`` are the P_k, (P x)[i] = x[order[i]]. Per merge, repeated over and over, the disagreement
    shrinks by the factor ``together``: the largest modulus below 1 of spec(P_K Pi ... P_1 Pi) to the power
    1 / K. ``alone`` is the largest |lambda_2(P_k Pi)|, and ``root`` is sqrt(rho).
    """

    agents: int
    orders: tuple[tuple[int, ...], ...]
    alone: arb
    together: arb
    root: arb

    def __str__(self) -> str:
        return (
            f"ring of {self.agents}, agents permuted by {' and '.join(map(str, self.orders))} in turn: "
            f"|lambda_2(P Pi)| = {self.alone.str(6)} at most, but {self.together.str(6)} per merge; "
            f"sqrt(rho) = {self.root.str(6)}"
        )


def sequence_counterexample(most_agents: int = 5, merges: int = 2) -> SequenceCounterexample | None:
    """The smallest ring, of 3 to ``most_agents``, with a product that contracts worse than its factors.

    Of all ``merges`` permutations whose reading |lambda_2(P Pi)| is below sqrt(rho), the ones whose product
    contracts worst; of those, the ones with the smallest readings. The search is in floating point, what it
    finds is enclosed. `None` if balls show no case.
    """
    for agents in range(3, most_agents + 1):
        mixing = RING.mixing_matrix(agents)
        orders = _worst(mixing, merges)
        if orders and (found := _enclosed(exact_mixing(mixing), orders)):
            return found
    return None


def _enclosed(mixing: fmpq_mat, orders: tuple[tuple[int, ...], ...]) -> SequenceCounterexample | None:
    factors = [fmpq_mat([mixing.tolist()[place] for place in order]) for order in orders]

    def alone() -> arb:
        return reduce(arb.max, map(second_modulus, factors))

    def together() -> arb:
        return second_modulus(reduce(lambda done, factor: factor * done, factors)).root(len(orders))

    def root() -> arb:
        return second_modulus(mixing)

    if is_less(alone, root) and is_less(alone, together):
        return SequenceCounterexample(mixing.nrows(), orders, alone(), together(), root())
    return None


def _worst(mixing: ndarray, merges: int) -> tuple[tuple[int, ...], ...] | None:
    agents = len(mixing)
    root = float(numpy.sort(abs(numpy.linalg.eigvalsh(mixing)))[-2])
    alone = {order: agent_eigenvalue(mixing, numpy.array(order)) for order in permutations(range(agents))}
    better = [order for order, reading in alone.items() if reading < root - 1e-9]

    def rank(orders: tuple[tuple[int, ...], ...]) -> tuple[float, float]:
        done = reduce(lambda done, order: mixing[list(order)] @ done, orders, numpy.eye(agents))
        slowest = abs(numpy.linalg.eigvals(done - 1 / agents)).max() ** (1 / merges)
        readings = max(alone[order] for order in orders)
        return round(float(slowest - root if slowest > readings + 1e-9 else -1), 9), -round(readings, 9)

    found = max(product(better, repeat=merges), key=rank, default=None)
    return found if found and rank(found)[0] > -1 else None


@dataclass(frozen=True)
class GapCounterexample:
    """A merge operator whose second eigenvalue is larger than that of its mixing matrix."""

    lift: Lift
    verdict: GapVerdict

    def __str__(self) -> str:
        return (
            f"{_matrices(self.lift)}\n"
            f"spec(Pi) = {_numbers(numpy.linalg.eigvalsh(self.lift.mixing))}\n"
            f"spec(W)  = {_numbers(self.lift.spectrum())}\n"
            f"sqrt(rho) is {self.verdict.root.str(6)}, sqrt(rho') is {self.verdict.reading.str(6)}"
        )


def gap_counterexample(graph: Graph = COMPLETE) -> GapCounterexample | None:
    """The first merge, by N, then d, up to three of each, with rho' > rho by eigenvalues."""
    for agents, size in product(range(1, 4), range(1, 4)):
        for lift in _lifts(graph.mixing_matrix(agents), size):
            verdict = spectral_verdict(lift)
            if verdict.relation == "above":
                return GapCounterexample(lift, verdict)
    return None


@dataclass(frozen=True)
class MeanCounterexample:
    """A merge of parameters ``before`` (N, d) that moves their mean over agents."""

    lift: Lift
    before: ndarray
    after: ndarray

    def __str__(self) -> str:
        return (
            f"{_matrices(self.lift)}\n"
            f"x =\n{self.before} with mean {self.before.mean(axis=0)}, conserved quantities: "
            f"{self.lift.capacity} of {self.lift.size}\n"
            f"W x =\n{self.after} with mean {self.after.mean(axis=0)}"
        )


def mean_counterexample(frameless: bool, graph: Graph = COMPLETE) -> MeanCounterexample | None:
    """The first merge, by N, then d, up to three of each, that moves the mean over agents of some x.

    Where cycles close, another mean is preserved: that of Q_i^T x_i. If ``frameless``, no order of the
    agents' coordinates may give one: W preserves one linear function of x for each orbit, fewer than d.
    """
    for agents, size in product(range(1, 4), range(1, 4)):
        for lift in _lifts(graph.mixing_matrix(agents), size):
            if frameless and lift.consistent:
                continue
            for unit in numpy.eye(agents * size):
                before = unit.reshape(agents, size)
                after = lift.apply(before)
                if abs(after.mean(axis=0) - before.mean(axis=0)).max() > 1e-9:
                    return MeanCounterexample(lift, before, after)
    return None


def _matrices(lift: Lift) -> str:
    orders = ", ".join(f"P_{i}{j} = {order.tolist()}" for (i, j), order in lift.permutations.items())
    return f"Pi =\n{lift.mixing}\n{orders}\nW =\n{lift.operator().toarray()}"


def _numbers(values: ndarray) -> str:
    return ", ".join(f"{value + 0.0:.4f}" for value in values.round(12))


def _lifts(mixing: ndarray, size: int) -> Iterator[Lift]:
    """All lifts with P_ji = P_ij^T."""
    links = [(int(i), int(j)) for i, j in numpy.argwhere(numpy.triu(mixing, 1))]
    for orders in product(permutations(range(size)), repeat=len(links)):
        found = dict(zip(links, map(numpy.array, orders), strict=True))
        yield Lift(mixing, found | {(j, i): numpy.argsort(order) for (i, j), order in found.items()})
