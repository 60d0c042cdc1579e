"""Stored worst cases as rows of the audit: the library's own methods on the losses that attain them."""

from collections.abc import Iterator

from dimat.randomness import Randomness
from theory.bounds.derivations import DERIVATIONS
from theory.bounds.runs import run_method
from theory.rows import ROUND_OFF, Row, exactly
from theory.worst_case.case import Case
from theory.worst_case.lower import Instance
from theory.worst_case.replay import Attained
from theory.worst_case.stored import bound_terms, derived_bound, floats, instances

CHECKS = {"gradient": "convergence", "disagreement": "disagreement"}
QUANTITIES = {"gradient": "mean |grad f|^2", "disagreement": "mean Xi_k"}


def worst_case_rows() -> Iterator[Row]:
    """A row for each stored instance whose step size its derived bound covers; each is run once."""
    for graph, case, instance in instances():
        bound = derived_bound(case)
        if bound is None:
            continue
        check, step_size = f"{CHECKS[case.quantity]}.{case.rule}", float(case.step_size)
        yield Row(
            *(check, f"{DERIVATIONS[case.rule].title}, worst case", QUANTITIES[case.quantity]),
            *(graph, case.agents, case.steps, *exactly(replayed(case, instance)), bound * (1 + ROUND_OFF)),
            step_size=step_size,
            seeds=1,
            problem=Attained.name,
            terms=tuple(bound_terms(case).items()) if case.quantity == "gradient" else (),
        )


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
