"""What methods reach in the end: a table as papers have it, settings against methods."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import comparisons, distinct, span
from paper.shown import PaperTable

if TYPE_CHECKING:
    from pandas import DataFrame


LOST = "†"
FEW = 3
"""Methods up to which there is room for a column of each by each protocol."""


class FinalTable(PaperTable):
    """Who is best in the end."""

    kind = "final"

    @override
    def applies(self) -> bool:
        return bool(comparisons(self.study))

    @override
    def caption(self) -> str:
        return (
            "After the last merge: mean over agents, then mean and sample standard deviation over seeds; in "
            "brackets what was published of this setting, if anything." + self._of_lost()
        )

    def _of_lost(self) -> str:
        """What the sign of agents that diverged means, where they may."""
        if self.study.divergence == "refused":
            return ""
        return f" {LOST}: in some run, agents left the finite numbers; what such networks answer counts."

    @override
    def rows(self, layout: Layout) -> "DataFrame":
        import pandas

        from dimat.experiment.cells import SETTING, labelled
        from paper.intervals import spread
        from paper.measured import by_round, placed, read_shown, summaries
        from paper.metrics import with_unit
        from paper.reference import beside, only

        compared = comparisons(self.study)
        runs, records = read_shown(layout, distinct(id for each in compared for id in each.runs))
        rounds, labels = by_round(runs, records), labelled(runs)
        values = summaries(rounds)[["final"]].join(beside(self.study, rounds))
        blocks, metrics = [], {}
        for each in compared:
            here = placed(labels.loc[list(each.runs)], each.agents).merge(
                values, left_on="run", right_index=True
            )
            metrics[with_unit(each.metric)] = each.metric
            blocks.append(here.assign(metric=with_unit(each.metric)))
        cells = pandas.concat(blocks)
        keys = ["metric", *SETTING]
        if cells.groupby([*keys, "method"]).rival.nunique().max() == 1:
            cells = cells.assign(rival=cells.method)
        varying = [name for name in SETTING if cells[name].nunique() > 1]
        settings = cells[varying].astype(str).agg(lambda row: ", ".join(filter(None, row)), axis=1)
        if settings.nunique() < cells.rival.nunique():  # the longer of the two goes down the page
            cells = cells.assign(column=settings if varying else "final", method=cells.rival)
            rows = [*(name for name in keys if name not in varying), "method"]
        elif "protocol" in varying and cells.rival.nunique() <= FEW:
            cells = cells.assign(column=cells.rival + ", " + cells.protocol)
            rows = [name for name in keys if name != "protocol"]
        else:
            cells, rows = cells.assign(column=cells.rival), keys
        lost = set(records.run[records.metric == "diverged"])
        lines: dict[tuple[object, ...], dict[str, str]] = {}
        seeds: dict[tuple[object, ...], set[int]] = {}
        for (*place, column), here in cells.groupby([*rows, "column"], sort=False):
            known = only(here.published) if "published" in here else ""
            text = f"{LOST} " if lost.intersection(here.run) else ""
            text += spread(here.final, metrics[here.metric.iloc[0]]) + (f" ({known})" if known else "")
            lines.setdefault(tuple(place), {})[str(column)] = text
            seeds.setdefault(tuple(place), set()).add(len(here))
        found = [
            dict(zip(rows, place, strict=True)) | {"seeds": span(seeds[place])} | line
            for place, line in lines.items()
        ]
        return pandas.DataFrame(found).fillna("").astype(str)
