"""What one study gives to the paper over all of them: what is shown of it, and what the rest would take."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas

from dimat.errors import InputError
from dimat.experiment.archive import finished
from dimat.experiment.collect import collect
from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.records import read_runs
from dimat.experiment.throughput import named_device
from dimat.io.files import read_checked, read_json
from paper.plan import StudyPlan, counted, in_hours
from paper.report.answers import Answer, answered, questions
from paper.report.contrasts import pairs_where, runs_of
from paper.report.cost import Spent, costs_of
from paper.report.entries import entries, systems
from paper.shown import PaperFigure
from paper.tables import tables_of
from theory.claims.evidence import evidence
from theory.report import EVIDENCE, as_frame

GPU = "H200"
"""The device for which it is said what is not measured yet, as the table of throughputs has it."""
IN_APPENDIX = ("comparison", "progress", "difference", "schedules", "reference")
"""Kinds of tables that the appendix shows of every study that has them; of the first two, the first."""


@dataclass(frozen=True)
class Picture:
    """A drawn figure of an entry: whether it is shown in the body, its SVG, and its caption in short."""

    entry: str
    id: str
    in_body: bool
    svg: bytes
    caption: str


@dataclass(frozen=True)
class Table:
    """A table as text, of an entry or, in the appendix, of a study."""

    entry: str
    id: str
    head: list[str]
    body: list[list[str]]
    caption: str


@dataclass(frozen=True)
class Contribution:
    """What a finished study gives."""

    figures: list[Picture]
    tables: list[Table]
    appendix: list[Table]
    answers: dict[int, Answer]
    evidence: pandas.DataFrame
    costs: dict[str, Spent]
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Left:
    """Runs of a study that are not there, with hours on `GPU` of all that they need; by question, too."""

    all: str
    by_question: dict[int, str]


def left_of(stem: str, study: Study, layout: Layout) -> Left:
    """What is still to be done of a study."""
    plan = StudyPlan(study, layout, named_device(GPU))

    def said(ids: Iterable[str]) -> str:
        line = plan.line("", ids)
        runs = sum(id in study.runs and id not in plan.there for id in ids)
        return f"{counted(runs, 'run')}, {in_hours(line.left)} hours on one {GPU}"

    asked = _asked(stem, study)
    return Left(
        said(plan.expected),
        {place: said(list(dict.fromkeys(plan.needed_by(runs_of(study, pairs))))) for place, pairs in asked},
    )


def _asked(stem: str, study: Study) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """The places of questions that a study bears on, and its pairs of runs."""
    for place, question in enumerate(questions()):
        if question.study == stem and (pairs := pairs_where(study, question.contrast, question.where)):
            yield place, pairs


def part_of(stem: str, study: Study, layout: Layout, stems: Container[str]) -> Contribution | None:
    """All that the paper over the studies ``stems`` shows of one; `None` if it is not finished."""
    if not finished(study, layout):
        return None
    joined(study, layout)
    figures, tables = [], []
    for id, entry in (entries() | systems()).items():
        if entry.study_in(stems) == stem:
            figures += [
                _picture(id, name, entry.in_body(each), each, layout)
                for name, each in entry.figures_in(study).items()
            ]
            tables += [
                Table(id, name, *text_of(each.rows(layout)), each.caption())
                for name, each in entry.tables_in(study).items()
            ]
    return Contribution(
        figures,
        tables,
        list(_appendix(stem, study, layout)),
        {place: answered(questions()[place], study, layout) for place, _ in _asked(stem, study)},
        as_frame(evidence(study, layout), EVIDENCE),
        costs_of(study, layout),
        read_json(layout.provenance),
    )


def joined(study: Study, layout: Layout) -> None:
    """Join the runs, unless what is there was made from them."""
    try:
        read_checked(layout.records)
        if set(read_runs(layout.runs).index) == set(study.runs):
            return
    except InputError:
        pass
    collect(study, layout)


def _picture(entry: str, id: str, in_body: bool, figure: PaperFigure, layout: Layout) -> Picture:
    from paper.style import as_file, pyplot

    drawn = figure.draw(layout)
    content = as_file(drawn, "svg")
    pyplot.close(drawn)
    return Picture(entry, id, in_body, content, figure.told_in_short(layout))


def text_of(rows: pandas.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of a table, as text."""
    return list(map(str, rows)), rows.astype(str).to_numpy().tolist()


def _appendix(stem: str, study: Study, layout: Layout) -> Iterator[Table]:
    known = tables_of(study)
    for kind in IN_APPENDIX:
        if kind in known and not (kind == "progress" and "comparison" in known):
            yield Table(stem, kind, *text_of(known[kind].rows(layout)), known[kind].caption())
