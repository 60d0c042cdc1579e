"""The register of claims: what is said, the checks that bear on it, and the verdict they give."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import pandas
import yaml
from pydantic import ValidationError

from dimat.errors import InputError
from dimat.experiment.config import describe
from dimat.spec import Spec

Verdict = Literal["holds", "holds under conditions", "refuted", "undecidable here"]


class Claim(Spec):
    """A file of theory/claims; its name is the claim's id."""

    statement: str
    where: str
    """Where the paper says it."""
    kind: Literal["theorem", "measurement"]
    """A theorem is refuted by one counterexample. A measurement may hold in some settings, and not in others:
    it does where some checks hold and none is violated."""
    assumptions: tuple[str, ...]
    checks: tuple[str, ...]
    """The rows of the audit that bear on it: `claim` or `claim: beginning of the statement`."""
    derivations: tuple[str, ...] = ()
    """The derived bounds that bear on it, by key."""
    conditions: str = ""
    """Under which a theorem holds, if not always."""
    instead: str = ""
    """What holds in its place, or what else there is to say."""

    def audited(self) -> list[str]:
        """What the rows that bear on it call their claim."""
        return list(dict.fromkeys(check.partition(": ")[0] for check in self.checks))

    def bears(self, rows: pandas.DataFrame) -> pandas.Series:
        """Which ``rows`` of an audit bear on it; controls, accepted or rejected, do not."""
        found = pandas.Series(False, index=rows.index)
        for check in self.checks:
            claim, _, statement = check.partition(": ")
            found |= (rows.claim == claim) & rows.statement.str.startswith(statement)
        return found & rows.verdict.isin(["holds", "violated", "undecided"])


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim, and the ``rows`` of the audit (see `theory.report.COLUMNS`) that give it."""

    id: str
    claim: Claim
    rows: pandas.DataFrame

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


def register() -> dict[str, Claim]:
    """All claims by id, in order; `InputError` names a file that is wrong."""
    folder = files("theory") / "claims"
    paths = sorted((p for p in folder.iterdir() if p.name.endswith(".yaml")), key=lambda path: path.name)
    return {path.name.removesuffix(".yaml"): claim_of(path.read_text(), path.name) for path in paths}


def claim_of(text: str, name: str) -> Claim:
    """A claim from the ``text`` of a file."""
    try:
        return Claim.model_validate(yaml.safe_load(text), strict=False)
    except ValidationError as error:
        raise InputError(f"{name}: {describe(error)}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None


def judge(audits: list[pandas.DataFrame]) -> Iterator[Judgement]:
    """The verdict on every claim, from audits as text (see `theory.report.as_frame`)."""
    rows = pandas.concat(audits, ignore_index=True)
    for id, claim in register().items():
        yield Judgement(id, claim, rows[claim.bears(rows)])


COLUMNS = (
    "id",
    "claim",
    "where",
    "assumptions",
    "verdict",
    "checks",
    "counterexample",
    "conditions",
    "command",
)


def claims_table(judgements: Iterator[Judgement]) -> pandas.DataFrame:
    """A record for each claim, as text."""
    return pandas.DataFrame(
        [
            (
                each.id,
                " ".join(each.claim.statement.split()),
                each.claim.where,
                "; ".join(each.claim.assumptions),
                each.verdict,
                each.numbers,
                each.counterexample,
                each.conditions,
                f"dimat audit {each.id}",
            )
            for each in judgements
        ],
        columns=COLUMNS,
    )
