"""The audit: the derivations, the checks of their bounds, and the controls that the checks must reject."""

from collections.abc import Iterable

from theory.checks import Row, checks
from theory.controls import controls
from theory.derivations import DERIVATIONS
from theory.settings import Setting


class AuditError(RuntimeError):
    """The audit itself is broken: a control is not rejected, or a derivation step does not follow."""


def audit(settings: Iterable[Setting], processes: int = 1) -> list[Row]:
    """All checks, then all controls; a violated check is a finding, a broken audit an `AuditError`.

    Arguments are those of `checks`.
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
