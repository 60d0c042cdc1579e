"""The semidefinite program over all instances of a case, in floating point: what it says is a suggestion.

Upper ends are proved from its multipliers, lower ends from its instance, by exact arithmetic.
"""

import warnings

import numpy
from numpy import ndarray

from theory.worst_case.conditions import Conditions, matrices


class Unsolved(RuntimeError):
    """The solver found nothing that could be proved."""


def solve(conditions: Conditions, push: float, margin: float) -> tuple[ndarray, ndarray, ndarray]:
    """Multipliers (m,), Gram matrix of the basis (n, n) and values (p,) of the largest objective.

    ``push`` times the sum of squares of the basis is added to the objective, which leaves the slack matrix of
    the multipliers so far from singular. Limits are lowered by ``margin``: then all conditions are strict.
    """
    import cvxpy  # here, because it takes seconds to import

    forms, values, limits, objective = matrices(conditions)
    dimension = conditions.dimension
    multipliers = cvxpy.Variable(len(forms), nonneg=True)
    combined = cvxpy.reshape(forms.reshape(len(forms), -1).T @ multipliers, (dimension, dimension), order="C")
    slack = combined - (objective + push * numpy.eye(dimension)) >> 0
    balance = values.T @ multipliers == 0
    problem = cvxpy.Problem(cvxpy.Minimize((limits - margin) @ multipliers), [slack, balance])
    try:
        with warnings.catch_warnings():  # of inaccuracy: what is proved holds all the same
            warnings.simplefilter("ignore")
            problem.solve(solver=cvxpy.CLARABEL, equilibrate_enable=False)
    except cvxpy.SolverError as error:
        raise Unsolved(f"the solver failed ({error})") from None
    if multipliers.value is None or slack.dual_value is None or balance.dual_value is None:
        raise Unsolved(f"the solver's answer is {problem.status}")
    gram = numpy.asarray(slack.dual_value)
    return multipliers.value, (gram + gram.T) / 2, -numpy.asarray(balance.dual_value)
