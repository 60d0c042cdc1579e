"""What matching is worth: DIMAT minus averaging alone, paired over seeds."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import distinct, with_unmatched
from paper.shown import PaperTable

if TYPE_CHECKING:
    from pandas import DataFrame


class DifferenceTable(PaperTable):
    """Is matching worth anything?"""

    kind = "difference"

    @override
    def applies(self) -> bool:
        return bool(with_unmatched(self.study))

    @override
    def caption(self) -> str:
        return (
            "What matching is worth: each run of DIMAT minus the run that averages without matching and is "
            "alike in all else, the seed among it. Mean and 95 % t-interval of the mean of these "
            "differences, after so many merges. An interval that contains 0 shows no difference; they "
            "are not widened for their number and decide no claim: those of evidence.csv are, and do."
        )

    @override
    def rows(self, layout: Layout) -> "DataFrame":
        from dimat.experiment.cells import labelled
        from paper.intervals import paired
        from paper.lines import paired_lines
        from paper.measured import by_merge, by_round, read_shown

        pairs = [(own, other, own) for own, other in with_unmatched(self.study)]
        runs, records = read_shown(layout, distinct(id for pair in pairs for id in pair))
        metrics = {id: self.study.runs[id].task.metric for id in runs.index}
        return paired_lines(
            pairs, labelled(runs), by_merge(by_round(runs, records), first=1), metrics, paired
        )
