"""All checks by the ids that claims refer to: those of the audit, and those of what a study measures."""

from collections.abc import Callable, Iterable

from theory.bounds.changing_merges import CHANGING_CHECKS, changing_controls, changing_rows
from theory.bounds.compared import bound_rows, ids_of
from theory.bounds.controls import bound_controls
from theory.bounds.derivations import DERIVATIONS
from theory.bounds.dif_maml import rest_controls, rest_rows
from theory.bounds.dot_admm import dot_admm_controls, dot_admm_rows
from theory.bounds.equivalence import equivalence_controls, equivalence_rows
from theory.bounds.network_orbits import NETWORK_CHECKS, network_orbit_controls, network_orbit_rows
from theory.bounds.orbit_means import ORBIT_CHECKS, orbit_controls, orbit_rows
from theory.bounds.own_moments import counterexample, own_moments_controls, own_moments_rows
from theory.bounds.rates import rate_controls, rate_rows
from theory.bounds.settings import Setting
from theory.bounds.subnets import (
    contraction_of_slices_controls,
    contraction_of_slices_rows,
    fixed_point_controls,
    fixed_point_rows,
    gradient_of_slices_controls,
    gradient_of_slices_rows,
    vanishing_bias_controls,
    vanishing_bias_rows,
)
from theory.claims.check import Check
from theory.gap.contraction import (
    contraction_controls,
    contraction_rows,
    spectral_controls,
    spectral_rows,
)
from theory.gap.counterexamples import gap_counterexample, mean_counterexample, sequence_counterexample
from theory.gap.rows import gap_controls, gap_rows, mean_controls, mean_rows
from theory.rows import Row
from theory.worst_case.rows import worst_case_rows


def alone(rows: Callable[[], Iterable[Row]]) -> Callable[[Iterable[Setting], int], Iterable[Row]]:
    """Rows that have no settings of bounds."""
    return lambda settings, processes: rows()


def of_bounds(settings: Iterable[Setting], processes: int) -> list[Row]:
    """Derived bounds in ``settings``, and in the worst cases that are stored."""
    return [*bound_rows(settings, processes), *worst_case_rows()]


CHECKS = (
    Check(("spectrum",), alone(spectral_rows), spectral_controls),
    Check(("contraction",), alone(contraction_rows), contraction_controls),
    Check(tuple(id for key in DERIVATIONS for id in sorted(ids_of(key))), of_bounds, bound_controls),
    Check(("equivalence",), alone(equivalence_rows), equivalence_controls),
    Check(ORBIT_CHECKS, alone(orbit_rows), orbit_controls),
    Check(NETWORK_CHECKS, alone(network_orbit_rows), network_orbit_controls),
    Check(CHANGING_CHECKS, alone(changing_rows), changing_controls),
    Check(("rate",), alone(rate_rows), rate_controls),
    Check(("adam-own-moments",), alone(own_moments_rows), own_moments_controls, (counterexample,)),
    Check(("dot-admm",), alone(dot_admm_rows), dot_admm_controls),
    Check(("subnet-fixed-point",), alone(fixed_point_rows), fixed_point_controls),
    Check(("subnet-contraction",), alone(contraction_of_slices_rows), contraction_of_slices_controls),
    Check(("subnet-gradients",), alone(gradient_of_slices_rows), gradient_of_slices_controls),
    Check(("subnet-bias",), alone(vanishing_bias_rows), vanishing_bias_controls),
    Check(("disagreement.dif_maml", "optimum.dif_maml"), alone(rest_rows), rest_controls),
    Check(("spectral-gap",), alone(gap_rows), gap_controls, (gap_counterexample, sequence_counterexample)),
    Check(
        ("mean",),
        alone(mean_rows),
        mean_controls,
        (lambda: mean_counterexample(frameless=True),),
    ),
)
"""The checks of the audit, in the order of its rows."""
OF_STUDIES = ("spectral-gap", "initial-gain", "final-gain", "bytes", "communication")
"""Ids of the rows that rest on what a study measures; see `theory.claims.evidence`."""
IDS = tuple(dict.fromkeys([*(id for check in CHECKS for id in check.ids), *OF_STUDIES]))
"""All ids of checks."""
