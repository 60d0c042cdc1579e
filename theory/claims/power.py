"""The power of the audit: how much smaller a bound could be claimed and still be accepted.

A bound times a factor is rejected by a row if the row's whole interval lies above it; a term times a
factor, if it lies above what is then the sum of all terms. The largest factor that some row rejects is the
power: with 0.9, no claim that is less than 0.9 of the bound would pass. Rows are those of problems that are
drawn at random, and those that are searched: near worst cases, and worst cases themselves.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pandas import DataFrame

from theory.bounds.compared import bound_rows, ids_of, quick
from theory.bounds.derivations import DERIVATIONS
from theory.problems import PROBLEMS
from theory.rows import Row
from theory.worst_case.proof import Proof
from theory.worst_case.rows import CHECKS, worst_case_rows
from theory.worst_case.stored import derived_terms

WHOLE = "all"
NEGLIGIBLE = 1e-6
"""A term, to the sum of all: of what is 0 but for round-off, or no wider than brackets, nothing is said."""
Parts = dict[tuple[str, str], float]
"""A number for checks and their parts."""
COLUMNS = ("check", "part", "drawn", "searched", "problem", "graph", "agents", "steps")
"""Of the table; ``searched`` is of all rows, and what follows of the row that rejects the largest factor."""


@dataclass(frozen=True)
class Rejected:
    """The largest factor of a part of a bound that a row rejects; none is rejected if it is not above 0."""

    factor: float
    row: Row


def power(processes: int = 1) -> DataFrame:
    """For every bound and term; factors are None where no row rejects that the term is 0."""
    rows = [*bound_rows(quick(), processes), *worst_case_rows()]
    return DataFrame(_lines(rows), columns=list(COLUMNS))


def _lines(rows: list[Row]) -> Iterator[tuple[object, ...]]:
    for key in DERIVATIONS:
        for check in sorted(ids_of(key)):
            of_check = [row for row in rows if row.check == check]
            for part in (WHOLE, *dict(of_check[0].terms)):
                drawn = _largest(part, (row for row in of_check if row.problem in PROBLEMS))
                most = _largest(part, of_check)
                where = (most.row.problem, most.row.graph, most.row.agents, most.row.steps) if most else ()
                yield (check, part, _factor(drawn), _factor(most), *(where or ("",) * 4))


def _largest(part: str, rows: Iterable[Row]) -> Rejected | None:
    found = [each for row in rows if (each := rejection(part, row)) and each.factor > 0]
    return max(found, key=lambda each: each.factor, default=None)


def _factor(found: Rejected | None) -> float | None:
    return found.factor if found else None


def limits(proofs: Iterable[Proof]) -> Parts:
    """The largest factor of each part that any losses could reject in the settings of some ``proofs``.

    The upper end of a bracket takes the place of what is measured: no losses exceed it, whatever is searched.
    """
    found: Parts = {}
    for proof in proofs:
        for key, terms in derived_terms(proof.case).items():
            bound, check = sum(terms.values()), f"{CHECKS[proof.case.quantity]}.{key}"
            of_terms = terms if proof.case.quantity == "gradient" else {}
            for part, value in ({WHOLE: bound} | of_terms).items():
                if value > NEGLIGIBLE * bound:
                    factor = 1 - (bound - float(proof.high)) / value
                    found[check, part] = max(found.get((check, part), factor), factor)
    return found


def rejection(part: str, row: Row) -> Rejected | None:
    """What a row rejects of a part; nothing where the part is 0."""
    value = row.bound if part == WHOLE else dict(row.terms)[part]
    return Rejected(1 - (row.bound - row.low) / value, row) if value else None
