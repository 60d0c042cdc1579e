"""The audit: the derivations, the checks of their bounds, and the controls that the checks must reject."""

from collections.abc import Callable, Collection, Iterable, Iterator

from theory.checks import Row, bound_checks, contraction_rows, equivalence_rows, rate_rows, spectral_rows
from theory.controls import controls
from theory.derivations import DERIVATIONS
from theory.gap import gap_rows, mean_rows
from theory.settings import Setting

CHECKS: dict[tuple[str, ...], Callable[[Iterable[Setting], int], Iterable[Row]]] = {
    ("spectrum",): lambda settings, processes: spectral_rows(),
    ("contraction",): lambda settings, processes: contraction_rows(),
    ("convergence", "disagreement"): bound_checks,
    ("equivalence",): lambda settings, processes: equivalence_rows(),
    ("rate",): lambda settings, processes: rate_rows(),
    ("spectral gap",): lambda settings, processes: gap_rows(),
    ("mean",): lambda settings, processes: mean_rows(),
}
"""What makes the rows of each claim, from the settings of bounds and a number of processes."""


class AuditError(RuntimeError):
    """The audit itself is broken: a control is not rejected, or a derivation step does not follow."""


def audit(settings: Iterable[Setting], processes: int = 1) -> list[Row]:
    """All checks, then all controls; a violated check is a finding, a broken audit an `AuditError`.

    Bounds are checked in ``settings``, in so many processes; what is found does not depend on them.
    """
    broken = [
        f"{derivation.key}, {step.name}"
        for derivation in DERIVATIONS.values()
        for step in derivation.steps
        if not step.follows()
    ]
    if broken:
        raise AuditError(f"the derivation does not follow at: {', '.join(broken)}")
    corrupted = controls()
    if passed := [f"{row.claim}, {row.graph}, {row.statement}" for row in corrupted if not row.violated]:
        raise AuditError(f"not rejected by its check: {'; '.join(passed)}")
    return [*checks(settings, processes), *corrupted]


def checks(
    settings: Iterable[Setting], processes: int = 1, claims: Collection[str] | None = None
) -> Iterator[Row]:
    """All checks, or those of some ``claims``."""
    for names, make in CHECKS.items():
        if claims is None or not set(claims).isdisjoint(names):
            yield from make(settings, processes)
