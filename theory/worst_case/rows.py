"""Stored worst cases as rows of the audit: the library's own methods on the losses that attain them."""

from collections.abc import Iterator
from dataclasses import replace

from dimat.randomness import Randomness
from theory.bounds.derivations import DERIVATIONS
from theory.bounds.runs import run_method
from theory.rows import ROUND_OFF, Row, exactly
from theory.worst_case.case import Case
from theory.worst_case.lower import Instance
from theory.worst_case.replay import Attained
from theory.worst_case.stored import derived_terms, floats, instances

CHECKS = {"gradient": "convergence", "disagreement": "disagreement"}
QUANTITIES = {"gradient": "mean |grad f|^2", "disagreement": "mean Xi_k"}


def worst_case_rows() -> Iterator[Row]:
    """A row for each stored instance and bound that covers its step size; each instance is run once."""
    for graph, case, instance in instances():
        if not (found := derived_terms(case)):
            continue
        numbers = exactly(replayed(case, instance))
        how = {"step_size": float(case.step_size), "seeds": 1, "problem": Attained.name}
        for key, terms in found.items():
            said = (f"{CHECKS[case.quantity]}.{key}", DERIVATIONS[key].title)
            where = (QUANTITIES[case.quantity], graph, case.agents, case.steps)
            row = Row(*said, *where, *numbers, sum(terms.values()) * (1 + ROUND_OFF), **how)
            yield replace(row, terms=tuple(terms.items())) if case.quantity == "gradient" else row


def replayed(case: Case, instance: Instance) -> float:
    """What the library's method does on an instance: the quantity of the case, in its units.

    It would be nan if the method left the points of the instance before its last step, whose gradients it
    does not have.
    """
    problem = Attained(case, instance)
    method = DERIVATIONS[case.rule].rule(float(case.step_size), case.local_steps)
    nothing = Randomness("worst cases draw nothing", 0)
    done = run_method(method, problem, floats(case.mixing), case.steps, 1, problem.start, nothing)
    measured = done.mean_squared_gradient if case.quantity == "gradient" else done.mean_disagreement
    return float(measured[0])
