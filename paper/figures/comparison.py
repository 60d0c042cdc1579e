"""What figures of one comparison have in common."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from typing_extensions import override

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.runs import Run
from dimat.tasks.task import Metric
from paper.comparisons import Comparison, comparisons
from paper.shown import PaperFigure

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class ComparisonFigure(PaperFigure):
    """A figure of the runs of one comparison."""

    comparison: Comparison = field(kw_only=True)

    @classmethod
    @override
    def of(cls, study: Study) -> Iterator[Self]:
        for comparison in comparisons(study):
            shown = cls(study, comparison.name, comparison=comparison)
            if shown.applies():
                yield shown

    @property
    def runs(self) -> dict[str, Run]:
        """The runs that it shows, by id."""
        return self.comparison.runs

    @property
    def metric(self) -> Metric:
        """What is shown."""
        return self.comparison.metric

    def values(self, runs: "DataFrame", records: "DataFrame") -> "DataFrame":
        """What is shown of ``runs``, by run and round: the metric as ``value``, and what else there is."""
        from paper.measured import values_by_round

        return values_by_round(runs, records, self.metric)

    def rows(self, layout: Layout, *, drawn: bool = False) -> "DataFrame":
        """The `values` with labels, in all settings where runs are compared, for text or to be ``drawn``."""
        from dimat.experiment.cells import labelled
        from paper.measured import placed, read_shown

        labels_of = labelled
        if drawn:
            from paper.panels import labels_in_figures as labels_of
        runs, records = read_shown(layout, self.runs)
        values = self.values(runs, records).reset_index()
        return placed(labels_of(runs), self.comparison.agents).merge(values, on="run")
