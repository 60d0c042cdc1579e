"""How many changed derivations the check rejects, as a page."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from dimat.processes import pool_of
from theory.bounds.derivations import DERIVATIONS
from theory.bounds.derivations.mutations import Mutant, mutants

PARTS = 16
"""Into which the mutants of a derivation are cut, for processes to share."""


@dataclass(frozen=True)
class Fate:
    """What became of one mutant."""

    derivation: str
    place: str
    kind: str
    outcome: str
    change: str


def fates(keys: Sequence[str], every: int = 1, processes: int = 1) -> list[Fate]:
    """Of all mutants of derivations, or of one in ``every``; ``processes`` change nothing."""
    if processes == 1:
        return [fate for key in keys for fate in _of_part((key, 0, 1), every)]
    parts = [(key, part, PARTS) for key in keys for part in range(PARTS)]
    with pool_of(processes, [__name__]) as pool:
        return list(chain.from_iterable(pool.map(partial(_of_part, every=every), parts)))


def _of_part(of: tuple[str, int, int], every: int) -> list[Fate]:
    key, part, parts = of
    some = list(mutants(DERIVATIONS[key]))[::every]
    ends = [len(some) * each // parts for each in (part, part + 1)]
    return [_fate(each) for each in some[slice(*ends)]]


def _fate(mutant: Mutant) -> Fate:
    change = f"{mutant.before} => {mutant.after}"
    return Fate(mutant.derivation.key, mutant.place, mutant.kind, mutant.outcome, change)


def page(found: Sequence[Fate]) -> str:
    """In Markdown: the score by derivation and by kind of change, then what was not rejected, and why."""
    by_key = _tallies(found, "derivation")
    lines = [
        "# Mutations of the derivations",
        "",
        "`dimat mutations` changes one thing at a time in the right sides of all steps and axioms of all",
        "derivations: a factor is dropped, a symbol is swapped, a sign is flipped, a part is scaled by 9/10.",
        "A change that makes a statement nowhere stronger may leave a proof a proof; the score is of all",
        "others.",
        "",
        *_table("derivation", {**by_key, "all": Counter(each.outcome for each in found)}),
        "",
        *_table("change", _tallies(found, "kind")),
        "",
        "## Not rejected, as they claim less",
        "",
        "Each is a proof of a larger bound, or of the same one from what is true as well.",
        "",
        *_places(found, "not stronger"),
        "",
        "## Survivors",
        "",
        *_survivors(found),
    ]
    return "\n".join(lines)


def _tallies(found: Sequence[Fate], name: str) -> dict[str, Counter[str]]:
    tallies: dict[str, Counter[str]] = {}
    for each in found:
        tallies.setdefault(getattr(each, name), Counter())[each.outcome] += 1
    return tallies


def _table(of: str, tallies: Mapping[str, Counter[str]]) -> Iterator[str]:
    yield f"| {of} | mutants | rejected | claim less | survive | score |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, tally in tallies.items():
        rejected, less, survive = (tally[each] for each in ("rejected", "not stronger", "SURVIVED"))
        score = f"{100 * rejected / (rejected + survive):.2f} %" if rejected + survive else ""
        yield f"| {name} | {tally.total()} | {rejected} | {less} | {survive} | {score} |"


def _places(found: Sequence[Fate], outcome: str) -> list[str]:
    places = Counter((each.derivation, each.place) for each in found if each.outcome == outcome)
    return [f"- {key}, {place}: {count}" for (key, place), count in places.items()]


def _survivors(found: Sequence[Fate]) -> list[str]:
    kept = [each for each in found if each.outcome == "SURVIVED"]
    if not kept:
        return ["There is none."]
    of_axioms = (
        "Axioms are held against four agents. Noise of so few, off their mean, has 3/4 of its variance:"
    )
    why = [of_axioms, "a tenth less than all of it is still true of them.", ""]
    return [*why, *(f"- {each.derivation}, {each.place}, {each.kind}: `{each.change}`" for each in kept)]
