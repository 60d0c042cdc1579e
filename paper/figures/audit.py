"""What figures of the audit have in common: points beside each other, and its rows."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.runs import Run
from paper.comparisons import distinct
from paper.shown import PaperFigure

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class AuditFigure(PaperFigure):
    """A figure of the audit; every study has it."""

    @override
    def reads(self, layout: Layout) -> list[Path]:
        return [layout.audit]


class FirstMergesFigure(AuditFigure):
    """A figure of the first merges of real networks; only of studies that have them."""

    @override
    def applies(self) -> bool:
        return bool(first_merges_of(self.study))

    @override
    def reads(self, layout: Layout) -> list[Path]:
        starts = distinct(run.pretrained.id for run in first_merges_of(self.study))
        return [layout.runs, layout.records, *(layout.holonomy(id) for id in starts)]

    def measured(self, layout: Layout) -> "pandas.DataFrame":
        """What was measured, with labels of the run that each first merge is one of."""
        from dimat.experiment.records import read_runs
        from paper.panels import labels_in_figures
        from theory.gap.holonomy import read_holonomy

        rows = read_holonomy(self.reads(layout)[2:])
        labels = labels_in_figures(read_runs(layout.runs).loc[distinct(rows.run)])
        return rows.drop(columns=[name for name in rows if name in labels]).join(labels, on="run")


def judged(layout: Layout) -> "pandas.DataFrame":
    """The rows of the audit that compare a number with a bound, and the ``family`` of each check."""
    import pandas

    from theory.report import read_audit

    rows = read_audit(layout.audit)
    rows = rows[rows.verdict.isin(["holds", "violated", "undecided"])]
    numbers = ("agents", "measured", "low", "high", "bound")
    found = rows.assign(**{name: pandas.to_numeric(rows[name]) for name in numbers})
    return found.assign(family=found.check.str.partition(".")[0])


def beside(place: int, count: int, width: float = 0.6) -> float:
    """How far from the middle the series at ``place`` of ``count`` lies, so that none hides another."""
    return (place - (count - 1) / 2) * width / count


def legend_of(figure: "Figure", panels: "Iterable[Axes]") -> None:
    """A legend below all panels, of all that they show."""
    from paper.panels import add_legend

    found = {}
    for panel in panels:
        artists, labels = panel.get_legend_handles_labels()
        found |= dict(zip(labels, artists, strict=True))
    add_legend(figure, found)


def with_varying(labels: "pandas.DataFrame", words: "pandas.Series") -> "pandas.Series":
    """``words``, with the data, model, agents and protocol of ``labels`` where these are several."""
    for name in ("data", "model", "agents", "protocol"):
        if labels[name].nunique() > 1:
            more = labels[name].astype(str) + " agents" * (name == "agents")
            words = words + more.where(more == "", ", " + more)
    return words


def first_merges_of(study: Study) -> list[Run]:
    """A run for each distinct first merge of real networks that is measured."""
    from theory.gap.first_merges import first_merges

    return [run for runs in first_merges(study).values() for run in runs]
