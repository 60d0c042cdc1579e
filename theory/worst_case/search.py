"""Proofs of brackets: found in floating point by a solver, rounded, and checked in rational numbers."""

import time

import numpy
from flint import fmpq
from numpy import ndarray

from theory.worst_case.case import Case
from theory.worst_case.conditions import conditions_of
from theory.worst_case.lower import Instance, lower_end
from theory.worst_case.proof import Proof, checked, high_end, rationals
from theory.worst_case.solver import Unsolved, solve
from theory.worst_case.upper import NotCertified

MARGINS = (1e-7, 2e-6, 1e-5, 5e-5)
"""How far within the limits of what is admissible proofs are looked for, one after another."""
NEGLIGIBLE = 1e-6
"""An eigenvalue of a Gram matrix, to the largest."""


def proved(case: Case, graph: str) -> Proof:
    """A proof; `Unsolved` if the solver fails, or nothing that it says can be proved."""
    start = time.process_time()
    multipliers, instance = multipliers_of(case), attaining(case)
    return checked(case, graph, multipliers, instance, time.process_time() - start)


def multipliers_of(case: Case) -> tuple[fmpq, ...]:
    """Multipliers that prove an upper end."""
    conditions = conditions_of(case, shared=False)
    why = ""
    for push in MARGINS:
        try:
            found = rationals(max(0.0, each) for each in solve(conditions, push, margin=0.0)[0])
            high_end(case, found)
            return found
        except (Unsolved, NotCertified) as error:
            why = str(error)
    raise Unsolved(f"no upper end was found: {why}")


def attaining(case: Case) -> Instance:
    """An instance that proves a lower end."""
    conditions = conditions_of(case, shared=True)
    why = ""
    for margin in MARGINS:
        try:
            _, gram, values = solve(conditions, push=0.0, margin=margin)
            found = instance_near(case, gram, values)
            lower_end(case, found)
            return found
        except (Unsolved, NotCertified) as error:
            why = str(error)
    raise Unsolved(f"no lower end was found: {why}")


def instance_near(case: Case, gram: ndarray, values: ndarray) -> Instance:
    """The nearest instance in whole multiples of the unit to a Gram matrix (n, n) and values (p,).

    Directions in which the vectors hardly extend are left out.
    """
    eigenvalues, directions = numpy.linalg.eigh(gram)
    kept = eigenvalues > eigenvalues.max() * NEGLIGIBLE
    rows = numpy.array([rationals(row) for row in directions[:, kept] * eigenvalues[kept] ** 0.5], object)
    free = case.agents - 1
    starts, tilts = free * bool(case.disagreement), free * bool(case.heterogeneity)
    start, tilted, slopes = numpy.split(rows, [starts, starts + tilts])
    return Instance(start, tilted, slopes, rationals(values))
