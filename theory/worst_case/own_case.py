"""The worst case of a setting of one's own, beside the derived bound."""

import math
from collections.abc import Mapping
from dataclasses import replace

from numpy import ndarray

from dimat.errors import InputError
from dimat.topology import second_eigenvalue
from theory.bounds.derivations import DERIVATIONS
from theory.worst_case.case import ONE, ZERO, Case, Quantity, exact
from theory.worst_case.rules import RULES
from theory.worst_case.search import proved
from theory.worst_case.solver import Unsolved
from theory.worst_case.stored import derived_bounds, floats, largest_step_size, rational_mixing

MOST_AGENTS, MOST_STEPS, MOST_GRADIENTS = 8, 10, 32
LIMIT = (
    f"expected at most {MOST_AGENTS} agents, {MOST_STEPS} steps and {MOST_GRADIENTS} gradients in all, which "
    "take about half a minute"
)
MEASURED: dict[Quantity, str] = {"gradient": "|grad f(xbar_k)|^2", "disagreement": "Xi_k"}
DIGITS = 6


def own_case(
    rule: str, label: str, mixing: ndarray, quantity: Quantity, constants: Mapping[str, float]
) -> str:
    """The answer in lines of text; ``constants`` go by their symbols' names.

    Without alpha, the step size is the largest admissible one of the derived bound. `InputError` if a
    constant is missing or not admissible, if the setting is too large, or if nothing can be proved.
    """
    case, unit = case_of(rule, mixing, quantity, constants)
    try:
        found = proved(case, label)
    except Unsolved as error:
        raise InputError(f"{label}: no bracket can be given: {error}") from None
    smoothness = constants["L"]
    scale = unit * smoothness if quantity == "gradient" else unit / smoothness
    low, high = rounded(float(found.low) * scale, up=False), rounded(float(found.high) * scale, up=True)
    near = "" if abs(floats(case.mixing) - mixing).max() < 1e-12 else " (weights rounded to 6 digits)"
    lines = [
        f"{rule}: {case.steps} steps of size {float(case.step_size) / smoothness:.6g}, exact gradients",
        f"{label}, {case.agents} agents{near}",
        f"the mean over k < {case.steps} of {MEASURED[quantity]}, over all losses with these constants, is",
        f"  at most {high:.{DIGITS}g}, and for some losses at least {low:.{DIGITS}g}: both proved exactly",
    ]
    for key, bound in derived_bounds(case).items():
        lines.append(f"  at most {bound * scale:.{DIGITS}g} by the derivation {key}")
        if found.low:
            lines[-1] += f": loose by at most {rounded(bound / float(found.low), up=True):.{DIGITS}g}"
    if rule in DERIVATIONS and len(lines) == 4:
        lines.append("  not bounded by the derivation, which does not cover this step size")
    return "\n".join([*lines, f"found in {found.seconds:.1f} seconds of a processor"])


def rounded(number: float, up: bool, digits: int = DIGITS) -> float:
    """To so many significant digits, upwards or downwards: away from what a bracket holds."""
    if not number:
        return number
    unit = 10.0 ** (math.floor(math.log10(abs(number))) + 1 - digits)
    return (math.ceil if up else math.floor)(number / unit) * unit


def case_of(
    rule: str, mixing: ndarray, quantity: Quantity, constants: Mapping[str, float]
) -> tuple[Case, float]:
    """The case, and the unit of its losses; errors as in `own_case`."""
    if rule not in RULES:
        raise InputError(f"worst-case: {rule!r}; expected one of {', '.join(RULES)}")
    needed = ["L", "kappa", "K"] + ["beta"] * (rule == "momentum") + ["tau"] * (rule == "local_steps")
    if rule not in DERIVATIONS:
        needed.append("alpha")
    if missing := [name for name in needed if name not in constants]:
        raise InputError(f"{', '.join(missing)}: missing; {rule} needs values of: {', '.join(needed)}")
    agents, steps, tau = len(mixing), int(constants["K"]), int(constants.get("tau", 1))
    if agents < 2 or agents > MOST_AGENTS or steps > MOST_STEPS or agents * steps > MOST_GRADIENTS:
        raise InputError(f"N, K: {agents} agents take {steps} steps; {LIMIT}")
    if second_eigenvalue(mixing) > 1 - 1e-12:
        raise InputError("N: sqrt(rho) is 1; expected connected agents, who keep a share of their own")
    if steps % tau:
        raise InputError(f"K: {steps}; expected a multiple of tau = {tau}")
    known = {name: exact(value) for name, value in constants.items()}
    smoothness, gap = known["L"], known.get("gap_0", ONE)
    if not smoothness or not gap:
        raise InputError(f"{'gap_0' if smoothness else 'L'}: 0; expected a number above 0")
    if (beta := known.get("beta", ZERO)) >= 1:
        raise InputError(f"beta: {float(beta):g}, expected below 1")
    losses = (gap, known["kappa"] ** 2 / smoothness, known.get("Xi_0", ZERO) * smoothness)
    unit = max(losses)
    start, heterogeneity, disagreement = (each / unit for each in losses)
    case = Case(
        rule,
        rational_mixing(mixing),
        steps,
        known.get("alpha", ZERO) * smoothness,
        heterogeneity,
        disagreement,
        start,
        tau,
        beta,
        quantity,
    )
    if "alpha" not in constants:
        case = replace(case, step_size=largest_step_size(case))
    return case, float(unit)
