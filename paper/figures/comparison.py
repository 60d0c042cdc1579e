"""What figures of one comparison have in common."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from typing_extensions import override

from dimat.experiment.config import Study
from dimat.experiment.runs import Run
from paper.comparisons import Comparison, comparisons
from paper.shown import PaperFigure


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
