"""The verdict on a claim, from the rows of the audit that it rests on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pandas

from theory.claims.claim import Claim, register
from theory.report import EVIDENCE

Verdict = Literal["holds", "holds under conditions", "equal", "refuted", "undecidable here"]
VERDICTS = ("violated", "holds", "equal", "undecided")
"""Of rows, the one that counts first."""


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim, and the ``rows`` of the audit (`theory.report.EVIDENCE`) that bear on it."""

    id: str
    claim: Claim
    rows: pandas.DataFrame

    @classmethod
    def of(cls, id: str, claim: Claim, audit: pandas.DataFrame) -> "Judgement":
        """By the rows of an ``audit`` that the claim rests on; controls do not count."""
        rows = audit[audit.check.isin(claim.checks)].reindex(columns=list(EVIDENCE)).astype(object).fillna("")
        return cls(id, claim, rows[_words(rows.verdict).isin(VERDICTS)])

    @property
    def deciding(self) -> pandas.DataFrame:
        """The rows that give the verdict: of a claim with a primary comparison, those of this."""
        return self.rows if self.claim.primary is None else self.rows[self.rows.comparison == "primary"]

    @property
    def verdict(self) -> Verdict:
        """A theorem's, and a measurement's in the settings where it holds; see `Claim.kind`.

        Where less is claimed, "equal" says that nothing is lost, and nothing gained. Without rows, or if none
        is decided, nothing can be said here.
        """
        found = set(_words(self.deciding.verdict))
        if self.claim.kind == "theorem":
            if "violated" in found or found == {"holds", "equal"}:
                return "refuted"
            whole: dict[frozenset[str], Verdict] = {
                frozenset({"holds"}): self._held,
                frozenset({"equal"}): "equal",
            }
            return whole.get(frozenset(found), "undecidable here")
        in_settings = set(self.settings().values())
        if "holds" in in_settings:
            return self._held if in_settings == {"holds"} else "holds under conditions"
        if "violated" in in_settings:
            return "refuted"
        return "equal" if in_settings == {"equal"} else "undecidable here"

    @property
    def _held(self) -> Verdict:
        return "holds under conditions" if self.claim.conditions else "holds"

    def settings(self) -> dict[str, str]:
        """What was found in each setting of a study: what counts first of its rows, as in `VERDICTS`."""
        found = {}
        for setting, rows in self.deciding.groupby("problem", sort=False):
            verdicts = set(_words(rows.verdict))
            ranked = (name for name in VERDICTS if name in verdicts)
            found[str(setting)] = next(ranked)
        return found

    @property
    def conditions(self) -> str:
        """Under which it holds, and what else there is to say."""
        words = [self.claim.conditions, self.claim.instead]
        if self.claim.kind == "measurement":
            by_setting = dict(
                zip(without_common_parts(list(self.settings())), self.settings().values(), strict=True)
            )
            by_verdict = {
                "holds": "It holds in",
                "violated": "It fails in",
                "equal": "Both are equal in",
                "undecided": "Undecided in",
            }
            for verdict, lead in by_verdict.items():
                named = [f"({setting})" for setting, found in by_setting.items() if found == verdict]
                if named:
                    words.append(f"{lead}: {', '.join(named)}.")
        words.append(self.with_test_error)
        return " ".join(" ".join(filter(None, words)).split())

    @property
    def with_test_error(self) -> str:
        """What the verdict becomes if the error of the finite test set counts; empty if it is not known."""
        known = self.deciding[self.deciding.with_test_error != ""]
        if known.empty:
            return ""
        verdicts = self.rows.verdict.mask(self.rows.with_test_error != "", self.rows.with_test_error)
        other = Judgement(self.id, self.claim, self.rows.assign(verdict=verdicts)).verdict
        moved = sum(_words(known.verdict) != _words(known.with_test_error))
        said = "the verdict stays" if other == self.verdict else f"the verdict would be {other!r}"
        return (
            f"With the error of the test set, at most so large, {said}: {moved} of {len(known)} primary "
            "checks would become undecided."
        )

    @property
    def primary(self) -> str:
        """The comparison that decides, if there is one, with its numbers: how far the rival is behind."""
        if self.claim.primary is None:
            return ""
        rows = self.deciding
        if rows.empty:
            return f"{self.claim.primary.said()}: not in this study"
        words = [f"{row.problem}; {row.graph}; {row.agents} agents" for row in rows.itertuples()]
        places = without_common_parts(words) if len(rows) > 1 else [""]
        found = [
            f"{row.measured} [{row.low}, {row.high}]" + f" ({place})" * bool(place)
            for place, row in zip(places, rows.itertuples(), strict=True)
        ]
        unit = rows.quantity.iloc[0].rpartition(", ")[2]
        seeds = " or ".join(sorted(set(rows.seeds), key=int))
        return f"{self.claim.primary.said()}, in {unit}, n = {seeds} seeds: {', '.join(found)}"

    @property
    def numbers(self) -> str:
        """How many checks bear on it, and how they came out: the primary ones, then the others."""
        if self.rows.empty:
            return "no checks"
        kinds = [(kind or "checks", rows) for kind, rows in self.rows.groupby("comparison", sort=False)]
        return "; ".join(f"{len(rows)} {kind}: {_counted(rows.verdict)}" for kind, rows in kinds)

    @property
    def counterexample(self) -> str:
        """Of what is violated, the row with the fewest agents, in a line; of several, the furthest off."""
        violated = self.deciding[self.deciding.verdict == "violated"]
        if violated.empty:
            return ""
        agents, low, bound = (pandas.to_numeric(violated[name]) for name in ("agents", "low", "bound"))
        fewest = (low - bound)[agents == agents.min()]
        row = violated.loc[fewest.idxmax()]
        interval = f" [{row.low}, {row.high}]" if row.seeds else ""
        what = ", ".join(filter(None, [row.statement, row.problem, f"{row.graph} of {row.agents}"]))
        return f"{what}: {row.quantity} {row.measured}{interval}, against {row.bound}"


def _words(verdicts: pandas.Series) -> pandas.Series:
    """Verdicts without the reason that stands behind a colon."""
    return verdicts.str.partition(":")[0] if len(verdicts) else verdicts


def _counted(verdicts: pandas.Series) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.value_counts().items())


def without_common_parts(settings: list[str]) -> list[str]:
    """Settings without those of their parts, between semicolons, that all of several have."""
    parts = [setting.split("; ") for setting in settings]
    common = set.intersection(*map(set, parts)) if len(parts) > 1 else set()
    return ["; ".join(part for part in own if part not in common) for own in parts]


def judgements(audits: list[pandas.DataFrame]) -> Iterator[Judgement]:
    """The verdict on every claim, from audits as text (see `theory.report.as_frame`)."""
    rows = pandas.concat(audits, ignore_index=True)
    for id, claim in register().items():
        yield Judgement.of(id, claim, rows)


def claims_table(judgements: Iterator[Judgement]) -> pandas.DataFrame:
    """A record for each claim, as text."""
    records = [
        {
            "id": each.id,
            "claim": " ".join(each.claim.statement.split()),
            "where": each.claim.source(),
            "assumptions": "; ".join(each.claim.assumptions),
            "verdict": each.verdict,
            "primary": each.primary,
            "checks": each.numbers,
            "counterexample": each.counterexample,
            "conditions": each.conditions,
            "command": f"dimat claim {each.id}",
        }
        for each in judgements
    ]
    return pandas.DataFrame(records)
