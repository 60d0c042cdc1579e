"""The brackets that are stored, and how they are made."""

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import get_args

import numpy
from flint import fmpq
from numpy import ndarray

from dimat.errors import InputError
from dimat.topology import second_eigenvalue
from theory.bounds.derivations import DERIVATIONS
from theory.gap.graphs import CHAIN, COMPLETE, RING
from theory.rows import ROUND_OFF
from theory.worst_case.case import ONE, ZERO, Case, Quantity, exact
from theory.worst_case.lower import Instance
from theory.worst_case.proof import STORED, Proof, read_instance, read_proofs

QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
PLACES = 10**6
"""Step sizes and weights are rounded to multiples of its inverse, step sizes downwards."""


def stored() -> list[Proof]:
    """All stored proofs, checked anew."""
    return read_proofs(STORED.read_text(encoding="utf-8"))


def instances() -> list[tuple[str, Case, Instance]]:
    """The graphs, cases and instances of all stored proofs, unchecked: a run of one is a check by itself."""
    return [read_instance(plain) for plain in json.loads(STORED.read_text(encoding="utf-8"))]


def rational_mixing(mixing: ndarray) -> tuple[tuple[fmpq, ...], ...]:
    """A symmetric matrix (N, N) as fractions near it whose rows sum to 1 exactly: diagonals take the rest."""
    agents = len(mixing)
    rows = [[exact(Fraction(float(entry)).limit_denominator(PLACES)) for entry in row] for row in mixing]
    for i in range(agents):
        for j in range(i):
            rows[i][j] = rows[j][i]
    for i, row in enumerate(rows):
        row[i] = ZERO
        row[i] = sum((-entry for entry in row), ONE)
    return tuple(map(tuple, rows))


def floats(mixing: tuple[tuple[fmpq, ...], ...]) -> ndarray:
    """The same matrix (N, N) in floating point."""
    return numpy.array([[float(entry) for entry in row] for row in mixing])


def constants(case: Case) -> dict[str, float]:
    """Of the derived bound, by their symbols' names, in the units of the case; all but the step size."""
    known = {
        "L": 1.0,
        "gap_0": float(case.gap),
        "sigma": 0.0,
        "kappa": float(case.heterogeneity) ** 0.5,
        "Xi_0": float(case.disagreement),
        "N": case.agents,
        "K": case.steps,
        "s": second_eigenvalue(floats(case.mixing)),
        "tau": case.local_steps,
        "beta": float(case.decay),
    }
    return {
        str(symbol): known[str(symbol)]
        for symbol in DERIVATIONS[case.rule].constants()
        if str(symbol) in known
    }


def largest_step_size(case: Case) -> fmpq:
    """The largest admissible one of the derived bound: a simple fraction, or else rounded down."""
    limit = DERIVATIONS[case.rule].largest_step_size(**constants(case))
    simple = exact(Fraction(limit).limit_denominator(1000))
    if abs(float(simple) - limit) <= ROUND_OFF * limit:
        return simple
    return fmpq(int(limit * PLACES), PLACES)


def bound_terms(case: Case) -> dict[str, float]:
    """Those of the derived bound on the gradient; `InputError` if it does not cover the step size."""
    return DERIVATIONS[case.rule].term_values(**constants(case), alpha=float(case.step_size))


def derived_bound(case: Case) -> float | None:
    """What the derivation says of the quantity of a case; None without one, or where it covers nothing."""
    if case.rule not in DERIVATIONS:
        return None
    try:
        if case.quantity == "gradient":
            return sum(bound_terms(case).values())
        values = constants(case) | {"alpha": float(case.step_size)}
        return DERIVATIONS[case.rule].disagreement_bound(**values)
    except InputError:
        return None


LAZY = ((fmpq(3, 4), fmpq(1, 4)), (fmpq(1, 4), fmpq(3, 4)))
"""Two agents that keep three quarters of their own."""
HALVES = ((ONE / 2, ONE / 2), (ONE / 2, ONE / 2))
RULES_OF_BOUNDS = ("gossip", "adapt_then_combine", "local_steps", "momentum")


def cases() -> Iterator[tuple[str, Case]]:
    """Those that are stored, with a label of the mixing matrix: each at the largest admissible step size."""
    yield "two agents, 3/4", at_largest(Case("local_steps", LAZY, 4, ONE, ONE, ZERO, local_steps=2))
    for rule in RULES_OF_BOUNDS:
        case = Case(rule, HALVES, 8, ONE, ZERO, ONE, ONE / 1000)
        yield "two agents, 1/2", at_largest(with_parameters(case))
    for label, mixing, steps in sizes():
        for rule, quantity in product(RULES_OF_BOUNDS, QUANTITIES):
            case = Case(rule, mixing, steps, ONE, ONE, ONE, quantity=quantity)
            yield label, at_largest(with_parameters(case))


def with_parameters(case: Case) -> Case:
    """The same with 2 local steps, or a decay of 1/2, if it has any."""
    if case.rule == "local_steps":
        return replace(case, local_steps=2)
    return replace(case, decay=ONE / 2) if case.rule == "momentum" else case


def sizes() -> Iterator[tuple[str, tuple[tuple[fmpq, ...], ...], int]]:
    """Label, mixing matrix and number of steps."""
    for steps in (2, 10):
        yield "two agents, 3/4", LAZY, steps
    for graph, agents, steps in ((COMPLETE, 4, 4), (RING, 4, 4), (CHAIN, 4, 4), (RING, 5, 6), (RING, 8, 4)):
        yield graph.label(), rational_mixing(graph.mixing_matrix(agents)), steps


def at_largest(case: Case) -> Case:
    """The same at the largest admissible step size."""
    return replace(case, step_size=largest_step_size(case))
