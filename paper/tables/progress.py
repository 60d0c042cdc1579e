"""The primary metric after some of the merges: mean and standard deviation over seeds."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import comparisons, distinct
from paper.reference import said_beside
from paper.shown import PaperTable

if TYPE_CHECKING:
    from pandas import DataFrame


class ProgressTable(PaperTable):
    """How agents do from merge to merge."""

    kind = "progress"

    @override
    def applies(self) -> bool:
        return bool(comparisons(self.study))

    @override
    def caption(self) -> str:
        return (
            "The primary metric after so many merges (0: before the first), mean over agents, then mean and "
            "sample standard deviation over seeds." + said_beside(self.study)
        )

    @override
    def rows(self, layout: Layout) -> "DataFrame":
        from dimat.experiment.cells import labelled
        from paper.lines import lines
        from paper.measured import by_merge, by_round, read_shown
        from paper.reference import beside, only

        compared = comparisons(self.study)
        runs, records = read_shown(layout, distinct(id for each in compared for id in each.runs))
        rounds = by_round(runs, records)
        values, known = by_merge(rounds), beside(self.study, rounds)
        texts = dict.fromkeys(known.columns, only)
        return lines(labelled(runs), values.join(known), compared, values.columns, texts)
