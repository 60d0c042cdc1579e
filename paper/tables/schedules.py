"""Which way of matching is best: each, and none, minus the best of the others, paired over seeds."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import distinct, ways_of_matching
from paper.shown import PaperTable

if TYPE_CHECKING:
    from pandas import DataFrame


class SchedulesTable(PaperTable):
    """When, and in which frame, should neurons be matched?"""

    kind = "schedules"

    @override
    def applies(self) -> bool:
        runs, groups = self.study.runs, ways_of_matching(self.study)
        ways = (distinct(runs[id].matching for id in group if runs[id].matching) for group in groups)
        return any(len(each) > 1 for each in ways)

    @override
    def caption(self) -> str:
        return (
            "Which way of matching is best: each, and averaging without, minus the best of the others, "
            "among runs that are alike in all else. The best is that with the best mean over seeds at this "
            "merge. Mean and 95 % t-interval of the mean of differences paired over seeds. Above 0, or "
            "below where less is better, it is the best; an interval that contains 0 cannot be told from "
            "the best of the others."
        )

    @override
    def rows(self, layout: Layout) -> "DataFrame":
        import pandas

        from dimat.experiment.cells import SETTING, labelled
        from paper.intervals import paired
        from paper.measured import by_merge, by_round, read_shown
        from paper.metrics import unit_of_differences

        groups = ways_of_matching(self.study)
        runs, records = read_shown(layout, distinct(id for group in groups for id in group))
        labels, values = labelled(runs), by_merge(by_round(runs, records), first=1)
        found = []
        for group in groups:
            here, metric = labels.loc[group], self.study.runs[group[0]].task.metric
            setting = {"metric": unit_of_differences(metric), **here[SETTING].iloc[0]}
            for rival, own in here.groupby("rival", sort=False):
                line = setting | {"method": rival, "seeds": own.seed.nunique()}
                for name in values:
                    by_seed = here.assign(value=values[name]).pivot(
                        index="seed", columns="rival", values="value"
                    )
                    by_seed = by_seed.dropna()
                    others = by_seed.drop(columns=rival).mean().map(metric.gain)
                    ahead = by_seed[rival] - by_seed[others.idxmax()] if len(by_seed) else by_seed[rival]
                    line[name] = paired(ahead, metric)
                found.append(line)
        return pandas.DataFrame(found)
