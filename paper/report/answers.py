"""The first page: each question with its answer, computed from records."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, cast

import numpy
import pandas
from pydantic import Field, ValidationError, field_validator

from dimat.errors import InputError
from dimat.experiment.cells import labelled
from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.reading import describe
from dimat.spec import Spec
from paper.comparisons import alike
from paper.findings import setting_said
from paper.intervals import half_width, paired
from paper.measured import by_round, read_shown, summaries
from paper.report.contrasts import pairs_where, runs_of
from paper.report.entries import as_text, package_yaml
from theory.claims.holm import LEVEL, risks
from theory.claims.paired import p_value

TIMES = {"first merge": "at the first merge", "area": "over the rounds", "final": "at the end"}
"""Summaries of runs that the first page shows, and what they are called there."""


class Question(Spec):
    """A question of questions.yaml, which says what its keys mean."""

    question: str
    contrast: Literal["matching", "published", "holding", "mean-model"]
    study: str
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    _text = field_validator("where", mode="before")(as_text)


@dataclass(frozen=True)
class Answer:
    """What was found: a row for each setting, with the difference at each of `TIMES`.

    ``verdicts`` has a word for each time, over all settings. Without ``rows``, it was not measured.
    """

    verdicts: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, str]] = field(default_factory=list)


@cache
def questions() -> tuple[Question, ...]:
    """All questions; `InputError` names one that is wrong."""
    found = []
    for place, content in enumerate(package_yaml("questions.yaml")):
        try:
            found.append(Question.model_validate(content, strict=False))
        except ValidationError as error:
            raise InputError(f"questions.yaml: {place}: {describe(error)}") from None
    return tuple(found)


def answered(question: Question, study: Study, layout: Layout) -> Answer:
    """The answer from a study's records; without rows if it has no such runs."""
    pairs = pairs_where(study, question.contrast, question.where)
    if not pairs:
        return Answer()
    runs, records = read_shown(layout, runs_of(study, pairs))
    ours = theirs = summaries(by_round(runs, records))[list(TIMES)]
    metric = study.runs[pairs[0][0]].task.metric
    if question.contrast == "mean-model":  # of one run, two metrics
        named = metric._replace(name=f"mean_model_{metric.name}")
        ours = summaries(by_round(runs, records, named))[list(TIMES)]
    labels, others = labelled(runs), dict(pairs)
    cells = alike({own: study.runs[own] for own in others}).values()
    found = [
        pandas.DataFrame(
            ours.loc[ids].to_numpy() - theirs.loc[[others[id] for id in ids]].to_numpy()
        ).set_axis(list(TIMES), axis=1)
        for ids in cells
    ]
    rows = [_place(labels, ids[0]) | {"n": str(len(ids))} for ids in cells]
    sign, verdicts = metric.gain(1.0), {}
    for time in TIMES:
        differences = [each[time] for each in found]
        allowed = _risks(differences)
        verdicts[time] = _verdict(list(map(_side, differences, allowed, [sign] * len(found))))
        for row, each, risk in zip(rows, differences, allowed, strict=True):
            row[time] = paired(each, metric, risk)
    return Answer(verdicts, rows)


def _risks(differences: list[pandas.Series]) -> list[float]:
    """Of missing the mean difference in each setting, by Holm's correction for their number."""
    several = [len(each) > 1 for each in differences]
    p = [p_value(each.to_numpy()) for each, known in zip(differences, several, strict=True) if known]
    found = iter(risks(numpy.array(p)).tolist())
    return [next(found) if known else LEVEL for known in several]


def _place(labels: pandas.DataFrame, id: str) -> dict[str, str]:
    """The setting in words: data, network and number of agents; graph and partition, and how agents match."""
    label = cast(Any, labels.loc[id])
    how = label.rival.partition(", ")[2] if labels.rival.nunique() > 2 else ""
    words = [setting_said(label.graph, label.partition), how]
    return {
        "data": label["data"].partition(",")[0],
        "model": label.model,
        "agents": f"{label.agents} agents",
        "place": ", ".join(filter(None, words)),
    }


def _side(differences: pandas.Series, risk: float, sign: float) -> int | None:
    """1 if better beyond the interval, -1 if worse, 0 if neither; `None` for one seed."""
    if len(differences) < 2:
        return None
    mean, half = float(differences.mean()), half_width(differences.to_numpy(), risk)
    return 0 if abs(mean) <= half or mean == 0 else int(numpy.sign(mean * sign))


def _verdict(sides: Iterable[int | None]) -> str:
    """A word for several settings."""
    known = [side for side in sides if side is not None]
    if not known:
        return "one seed"
    better, worse = known.count(1), known.count(-1)
    if better == len(known):
        return "yes"
    if worse == len(known):
        return "worse"
    if not better and not worse:
        return "undecided"
    counts = {"better": better, "worse": worse, "undecided": known.count(0)}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)
