"""The audit: the derivations, the checks of their bounds, and the controls that the checks must reject."""

from collections.abc import Collection, Iterable, Iterator

from theory.bounds.compared import checks_of
from theory.bounds.derivations import DERIVATIONS
from theory.bounds.derivations.instances import holds
from theory.bounds.settings import Setting
from theory.claims.checks import CHECKS
from theory.rows import Row


class AuditError(RuntimeError):
    """The audit itself is broken: a control is not rejected, or a derivation does not follow."""


def audited(settings: Iterable[Setting], processes: int = 1) -> list[Row]:
    """All checks, then all controls; a violated check is a finding, a broken audit an `AuditError`.

    Bounds are checked in ``settings``, in so many processes; what is found does not depend on them.
    """
    broken = [f"{each.key}, {problem}" for each in DERIVATIONS.values() for problem in each.problems()]
    broken += [
        f"{each.key}, {axiom.name}: does not hold on an instance"
        for each in DERIVATIONS.values()
        for axiom in each.axioms()
        if not holds(axiom, each.about)
    ]
    if broken:
        raise AuditError(f"the derivation does not follow: {'; '.join(broken)}")
    controls = [row for check in CHECKS for row in check.controls()]
    if passed := [f"{row.check}, {row.graph}, {row.statement}" for row in controls if not row.violated]:
        raise AuditError(f"not rejected by its check: {'; '.join(passed)}")
    return [*(row for check in CHECKS for row in check.rows(settings, processes)), *controls]


def rows_of(ids: Collection[str], settings: Iterable[Setting]) -> Iterator[Row]:
    """The rows of some checks alone."""
    wanted = [setting for setting in settings if not checks_of(setting).isdisjoint(ids)]
    for check in CHECKS:
        if not set(check.ids).isdisjoint(ids):
            yield from (row for row in check.rows(wanted, 1) if row.check in ids)
