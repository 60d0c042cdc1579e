"""One claim to read in a terminal: what is said, the derivations, the checks, the verdict."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pandas

from dimat.cli.arguments import open_study
from dimat.errors import InputError
from theory.bounds.compared import quick
from theory.bounds.derivations import DERIVATIONS
from theory.bounds.derivations.text import derivation_text
from theory.claims.audit import rows_of
from theory.claims.checks import CHECKS
from theory.claims.claim import Claim, register
from theory.claims.evidence import evidence
from theory.claims.judgement import Judgement
from theory.report import EVIDENCE, as_frame

SHOWN = (
    *("check", "comparison", "statement", "problem", "graph", "agents", "seeds", "measured", "low", "high"),
    *("bound", "p", "p_holm", "verdict", "low_with_test_error", "high_with_test_error", "with_test_error"),
)
MOST_ROWS = 60


def claims_text() -> str:
    """All claims, one a paragraph."""
    return "\n\n".join(f"{id}\n{filled(claim.statement, 2)}" for id, claim in register().items())


def claim_text(id: str, study: Path | None, results: Path) -> str:
    """Audit a claim anew and print all of it; the ``results`` of ``study``, a configuration, count too."""
    claims = register()
    if id not in claims:
        raise InputError(f"{id}: no such claim; expected one of {', '.join(claims)}")
    return "\n".join(_lines(id, claims[id], study, results))


def _lines(id: str, claim: Claim, study: Path | None, results: Path) -> Iterator[str]:
    yield f"{id}\n{filled(claim.statement, 2)}\n  said: {claim.where}\n  not read: {claim.unread}"
    yield from (filled(f"assuming: {each}", 2) for each in claim.assumptions)
    if claim.primary:
        yield filled(f"decided by: {claim.primary.said()}", 2)
    for key in claim.derivations:
        yield f"\n{derivation_text(DERIVATIONS[key])}"
    rows = as_frame(list(rows_of(claim.checks, quick())))
    if study is not None:
        own = as_frame(evidence(*open_study(study, results)), EVIDENCE)
        rows = pandas.concat([rows, own], ignore_index=True)
    judgement = Judgement.of(id, claim, rows)
    shown = judgement.rows[[name for name in SHOWN if (judgement.rows[name] != "").any()]]
    if len(shown):
        yield "\n" + shown.head(MOST_ROWS).to_string(index=False)
    if len(shown) > MOST_ROWS:
        yield f"and {len(shown) - MOST_ROWS} more; dimat audit and dimat judge write all of them"
    yield f"\nverdict: {judgement.verdict} ({judgement.numbers})"
    if judgement.primary and not judgement.rows.empty:
        yield filled(f"primary: {judgement.primary}", 2)
    if judgement.rows.empty:
        yield "  it rests on what a study measures: name one that has been run with --study"
    if judgement.counterexample:
        yield filled(f"counterexample: {judgement.counterexample}", 2)
    if judgement.conditions:
        yield filled(judgement.conditions, 2)
    if judgement.verdict == "refuted":
        for check in CHECKS:
            for search in check.counterexamples if set(check.ids) & set(claim.checks) else ():
                yield f"\nThe smallest counterexample of its kind:\n{search()}"


def filled(text: str, indent: int) -> str:
    """A paragraph of at most 100 characters a line."""
    space = " " * indent
    return textwrap.fill(" ".join(text.split()), 100, initial_indent=space, subsequent_indent=space)
