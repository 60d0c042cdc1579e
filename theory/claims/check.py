"""What a check is: a maker of rows of the audit, with an id that claims refer to."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from theory.bounds.settings import Setting
from theory.rows import Row


@dataclass(frozen=True)
class Check:
    """Rows with one of the ``ids``, from settings of bounds and a number of processes.

    ``controls`` are the same with something corrupted on purpose: one that holds shows a check that sees
    nothing. ``counterexamples`` search for the smallest ones there are.
    """

    ids: tuple[str, ...]
    rows: Callable[[Iterable[Setting], int], Iterable[Row]]
    controls: Callable[[], Iterable[Row]]
    counterexamples: tuple[Callable[[], object], ...] = ()
