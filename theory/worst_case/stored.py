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
from theory.bounds.derivations.audited import AuditedBound
from theory.gap.graphs import CHAIN, COMPLETE, RING
from theory.rows import ROUND_OFF
from theory.worst_case.case import ONE, ZERO, Case, Quantity, exact
from theory.worst_case.lower import Instance
from theory.worst_case.proof import STORED, Proof, read_instance, read_proofs

QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
TRIED = 0.1
"""A step size, by which the methods of two bounds are compared."""
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


def bounds_on(case: Case) -> list[AuditedBound]:
    """The derived bounds on the method of a case; if there are some, the first has the name of the rule."""
    if case.rule not in DERIVATIONS:
        return []
    first = DERIVATIONS[case.rule]
    method = first.rule(TRIED, case.local_steps)
    others = (each for each in DERIVATIONS.values() if each is not first)
    return [first, *(each for each in others if each.rule(TRIED, case.local_steps) == method)]


def constants(case: Case, bound: AuditedBound) -> dict[str, float]:
    """Of a derived bound, by their symbols' names, in the units of the case; all but the step size."""
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
    names = map(str, bound.constants())
    return {name: known[name] for name in names if name in known}


def largest_step_size(case: Case) -> fmpq:
    """The largest admissible one of the first derived bound: a simple fraction, or else rounded down."""
    bound = DERIVATIONS[case.rule]
    limit = bound.largest_step_size(**constants(case, bound))
    simple = exact(Fraction(limit).limit_denominator(1000))
    if abs(float(simple) - limit) <= ROUND_OFF * limit:
        return simple
    return fmpq(int(limit * PLACES), PLACES)


def derived_terms(case: Case) -> dict[str, dict[str, float]]:
    """What derived bounds say of the quantity of a case, by their keys and terms.

    A bound that does not cover the step size is left out. One on the disagreement has no terms but itself.
    """
    found = {}
    for bound in bounds_on(case):
        values = constants(case, bound) | {"alpha": float(case.step_size)}
        try:
            if case.quantity == "gradient":
                found[bound.key] = bound.term_values(**values)
            elif bound.bounds_disagreement:
                found[bound.key] = {"disagreement": bound.disagreement_bound(**values)}
        except InputError:
            continue
    return found


def derived_bounds(case: Case) -> dict[str, float]:
    """Their sums, by key."""
    return {key: sum(terms.values()) for key, terms in derived_terms(case).items()}


LAZY = ((fmpq(3, 4), fmpq(1, 4)), (fmpq(1, 4), fmpq(3, 4)))
"""Two agents that keep three quarters of their own."""
HALVES = ((ONE / 2, ONE / 2), (ONE / 2, ONE / 2))
RULES_OF_BOUNDS = ("gossip", "adapt_then_combine", "local_steps", "momentum")
NEAREST = (
    ("gossip", 6, ONE / 5, ZERO),
    ("local_steps", 10, ONE, ZERO),
    ("momentum", 10, ONE / 5, ONE / 2),
)
"""Rule, steps, Xi_0 and decay of worst cases that come nearest to bounds on gradients: with an initial gap of
1, equal losses, and merges that leave no disagreement, where admissible steps are largest. Adapt then combine
attains its bound elsewhere."""


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
    for rule, steps, disagreement, decay in NEAREST:
        case = Case(rule, HALVES, steps, ONE, ZERO, disagreement, decay=decay)
        yield "two agents, 1/2", at_largest(case)


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
