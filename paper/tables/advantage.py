"""Each method minus DIMAT in the same setting, paired over seeds."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import comparisons, distinct
from paper.shown import PaperTable

if TYPE_CHECKING:
    from pandas import DataFrame


class AdvantageTable(PaperTable):
    """Is any method better than DIMAT?"""

    kind = "advantage"

    @override
    def applies(self) -> bool:
        return any(each.has_others and each.against_reference() for each in comparisons(self.study))

    @override
    def caption(self) -> str:
        return (
            "Each method minus DIMAT, the first that the study lists, in the same setting and protocol: "
            "mean and 95 % t-interval of the mean of differences of runs of the same seed. A star marks "
            "intervals that do not contain 0; they are not widened for their number and decide no "
            "claim: those of evidence.csv are, and do."
        )

    @override
    def rows(self, layout: Layout) -> "DataFrame":
        from dimat.experiment.cells import labelled
        from paper.intervals import starred
        from paper.lines import paired_lines
        from paper.measured import by_round, read_shown, summaries

        compared = [each for each in comparisons(self.study) if each.has_others]
        pairs = [(own, other, other) for each in compared for own, other in each.against_reference()]
        runs, records = read_shown(layout, distinct(id for pair in pairs for id in pair))
        metrics = {id: self.study.runs[id].task.metric for id in runs.index}
        return paired_lines(pairs, labelled(runs), summaries(by_round(runs, records)), metrics, starred)
