"""The audit: the derivation, the checks of its bounds, and the controls that the checks must reject."""

from theory.checks import Row, checks
from theory.controls import controls
from theory.derivations import DERIVATIONS


class AuditError(RuntimeError):
    """The audit itself is broken: a control is not rejected, or a derivation step does not follow."""


def audit() -> list[Row]:
    """All checks, then all controls; a violated check is a finding, a broken audit an `AuditError`."""
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
    return [*checks(), *corrupted]
