"""One comparison of a measured number with a bound, as a row of the audit."""

from dataclasses import dataclass, replace

ROUND_OFF = 1e-12
Numbers = tuple[float, float, float]
"""A measured number, and both ends of its interval."""


@dataclass(frozen=True)
class Row:
    """One comparison: ``measured`` in its interval from ``low`` to ``high``, against ``bound``.

    ``check`` is the id by which claims refer to it (`theory.claims.checks`); the ``statement`` is for people.
    An exact number is its own interval and has no ``seeds``. A ``control`` must be rejected.
    """

    check: str
    statement: str
    quantity: str
    graph: str
    agents: int | None
    steps: int | None
    measured: float
    low: float
    high: float
    bound: float
    step_size: float | None = None
    seeds: int | None = None
    control: bool = False
    problem: str = ""
    terms: tuple[tuple[str, float], ...] = ()
    """Those that add up to the bound, if it has some, with their names."""
    strict: bool = False
    """Whether measured < bound is claimed, so that equality is another verdict. Only exact numbers can be
    equal."""

    @property
    def holds(self) -> bool:
        """Whether the whole interval lies below the bound."""
        return self.high < self.bound

    @property
    def violated(self) -> bool:
        """Whether the whole interval lies above the bound."""
        return self.low > self.bound

    @property
    def equal(self) -> bool:
        """Whether both are equal where less was claimed; what is nothing of all that is undecided."""
        return self.strict and self.low == self.bound == self.high

    @property
    def verdict(self) -> str:
        """The verdict in a word."""
        good, bad = ("accepted", "rejected") if self.control else ("holds", "violated")
        return good if self.holds else bad if self.violated else "equal" if self.equal else "undecided"

    @property
    def tightness(self) -> float:
        """Bound / measured: 1 where nothing is given away."""
        return self.bound / self.measured

    def as_control(self, what: str) -> "Row":
        """The same row of a check in which ``what`` was corrupted."""
        return replace(self, statement=f"control: {what}", control=True)


def exactly(number: float) -> Numbers:
    """A number known without sampling, and both ends of its interval."""
    return number, number, number
