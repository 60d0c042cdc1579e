"""The verdict on a claim, from the rows of the audit that it rests on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pandas

from theory.claims.claim import Claim, register

Verdict = Literal["holds", "holds under conditions", "refuted", "undecidable here"]


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim, and the ``rows`` of the audit (`theory.report.COLUMNS`) that give it."""

    id: str
    claim: Claim
    rows: pandas.DataFrame

    @classmethod
    def of(cls, id: str, claim: Claim, audit: pandas.DataFrame) -> "Judgement":
        """By the rows of an ``audit`` that the claim rests on; controls do not count."""
        own = audit.check.isin(claim.checks)
        return cls(id, claim, audit[own & audit.verdict.isin(["holds", "violated", "undecided"])])

    @property
    def verdict(self) -> Verdict:
        """A theorem's, and a measurement's in the settings where it holds; see `Claim.kind`.

        Without rows, or if none is decided, nothing can be said here.
        """
        found = set(self.rows.verdict)
        if self.claim.kind == "theorem":
            if "violated" in found:
                return "refuted"
            return "undecidable here" if found != {"holds"} else self._held
        in_settings = set(self.settings().values())
        if "holds" in in_settings:
            return self._held if in_settings == {"holds"} else "holds under conditions"
        return "refuted" if "violated" in in_settings else "undecidable here"

    @property
    def _held(self) -> Verdict:
        return "holds under conditions" if self.claim.conditions else "holds"

    def settings(self) -> dict[str, str]:
        """What was found in each setting of a study: violated if any row is, else holds if any does."""
        found = {}
        for setting, rows in self.rows.groupby("problem", sort=False):
            verdicts = set(rows.verdict)
            ranked = (name for name in ("violated", "holds", "undecided") if name in verdicts)
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
            by_verdict = {"holds": "It holds in", "violated": "It fails in", "undecided": "Undecided in"}
            for verdict, lead in by_verdict.items():
                named = [f"({setting})" for setting, found in by_setting.items() if found == verdict]
                if named:
                    words.append(f"{lead}: {', '.join(named)}.")
        return " ".join(" ".join(filter(None, words)).split())

    @property
    def numbers(self) -> str:
        """How many checks bear on it, and how they came out."""
        counts = self.rows.verdict.value_counts()
        found = ", ".join(f"{count} {name}" for name, count in counts.items())
        return f"{len(self.rows)} checks: {found}" if found else "no checks"

    @property
    def counterexample(self) -> str:
        """Of what is violated, the row with the fewest agents, in a line; of several, the furthest off."""
        violated = self.rows[self.rows.verdict == "violated"]
        if violated.empty:
            return ""
        agents, low, bound = (pandas.to_numeric(violated[name]) for name in ("agents", "low", "bound"))
        fewest = (low - bound)[agents == agents.min()]
        row = violated.loc[fewest.idxmax()]
        interval = f" [{row.low}, {row.high}]" if row.seeds else ""
        what = ", ".join(filter(None, [row.statement, row.problem, f"{row.graph} of {row.agents}"]))
        return f"{what}: {row.quantity} {row.measured}{interval}, against {row.bound}"


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
            "where": each.claim.where,
            "assumptions": "; ".join(each.claim.assumptions),
            "verdict": each.verdict,
            "checks": each.numbers,
            "counterexample": each.counterexample,
            "conditions": each.conditions,
            "command": f"dimat claim {each.id}",
        }
        for each in judgements
    ]
    return pandas.DataFrame(records)
