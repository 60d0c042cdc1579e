"""The best that methods reach with few bytes: a panel for each setting, a row for each line."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from dimat.experiment.outlines import start_file, start_outline
from paper.comparisons import alike, span
from paper.figures.comparison import ComparisonFigure
from paper.metrics import opening

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame, Series

BUDGETS = (1, 10, 100)
"""Bytes that an agent may send, in those of one network."""
COLOURS = ("#9ecae1", "#3182bd", "#08306b")
MEBIBYTE, ROUND_OFF = 2.0**20, 1e-9


class BudgetsFigure(ComparisonFigure):
    """What few bytes buy, where some methods were made to send little."""

    kind = "accuracy-bytes"

    @override
    def applies(self) -> bool:
        several = any(run.training.rounds > 1 for run in self.runs.values())
        return self.comparison.agents > 1 and several and any(r.method.sparing for r in self.runs.values())

    @override
    def caption(self) -> str:
        counts = {len(ids) for ids in alike(self.runs).values()}
        bars = "of one seed" if counts == {1} else f"means over {span(counts)} seeds with 95 % t-intervals"
        first, *others = (f"{budget:,}" for budget in BUDGETS)
        return (
            f"{opening(self.metric.title)} that agents have reached by the time when each has sent {first}, "
            f"{' and '.join(others)} times the bytes of one network ({self.comparison.words()}): the best of "
            "the start and of all merges until then, of each run the mean over agents, "
            f"{bars}. All bytes are counted from the first merge on, those of matching, indices and scales, "
            "too. What methods reach that communicate at every step is measured once in a round, so that a "
            "budget which ends within a round counts from the merge before."
        )

    @override
    def reads(self, layout: Layout) -> list[Path]:
        return [*super().reads(layout), start_file(layout, self._start)]

    @property
    def _start(self) -> str:
        """The start of a run; networks of all runs are alike."""
        return next(iter(self.runs.values())).pretrained.id

    @override
    def values(self, runs: "DataFrame", records: "DataFrame") -> "DataFrame":
        from paper.measured import costs

        return super().values(runs, records).join(costs(records)[["MiB"]]).fillna({"MiB": 0.0})

    def reached(self, layout: Layout, *, drawn: bool = False) -> "DataFrame":
        """The rows of the last merge, and as columns of `BUDGETS` the best ``value`` of each."""
        rows = self.rows(layout, drawn=drawn)
        models = rows.MiB * MEBIBYTE / start_outline(layout, self._start)["network_bytes"]
        keys = ["graph", "partition", "rival", "seed"]
        best = "max" if self.metric.gain(1.0) > 0 else "min"
        ends = rows.loc[rows.groupby(keys, sort=False)["round"].idxmax()].set_index(keys)
        for budget in BUDGETS:
            paid = rows[models <= budget * (1 + ROUND_OFF)]
            ends[budget] = paid.groupby(keys, sort=False).value.agg(best)
        return ends.reset_index()

    @override
    def finding(self, layout: Layout) -> str:
        """In each setting, for each budget, what is best and what the first of DIMAT reaches."""
        from paper.findings import over_seeds, quoted, reached, setting_said

        rows = self.reached(layout)
        said = []
        for (graph, partition), here in rows.groupby(["graph", "partition"], sort=False):
            lines = {str(rival): line.set_index("seed") for rival, line in here.groupby("rival", sort=False)}
            dimat = [rival for rival, line in lines.items() if (line.method == "DIMAT").all()][:1]
            parts = []
            for budget in BUDGETS:
                best = max(lines, key=lambda each: self.metric.gain(float(lines[each][budget].mean())))
                text = f"{budget}: {quoted(best)} {reached(lines[best][budget], self.metric)}"
                for other in dimat if dimat != [best] else ():
                    text += f", {quoted(other)} {self._beside(lines[other][budget], lines[best][budget])}"
                parts.append(text)
            said.append(f"{opening(setting_said(graph, partition))}, by budget: {'; '.join(parts)}.")
        return " ".join([*said, over_seeds(rows.groupby("rival").seed.nunique())])

    def _beside(self, values: "Series", best: "Series") -> str:
        from paper.findings import apart, reached

        return f"{reached(values, self.metric)} (difference {apart((values - best).dropna(), self.metric)})"

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.comparisons import distinct
        from paper.intervals import half_width
        from paper.metrics import with_unit
        from paper.panels import WIDTH, add_legend, panel_grid, titled

        rows = self.reached(layout, drawn=True)
        settings = list(rows.groupby(["graph", "partition"], sort=False))
        lines = distinct(rows.rival)
        names = [textwrap.fill(line, 30) for line in lines]
        height = 0.6 + 0.13 * sum(1.5 + name.count("\n") for name in names)
        panels, figure = panel_grid(len(settings), columns=4, height=height, sharey=True)
        figure.set_figwidth(WIDTH)
        handles = {}
        for panel, ((graph, partition), here) in zip(panels, settings, strict=True):
            for place, (budget, colour) in enumerate(zip(BUDGETS, COLOURS, strict=True)):
                for height, rival in enumerate(lines):
                    found = here[here.rival == rival][budget].to_numpy(float)
                    if len(found):
                        bar = panel.errorbar(
                            found.mean(), height + 0.22 * (place - 1),
                            xerr=half_width(found) if len(found) > 1 else None,
                            fmt="o", markersize=3, color=colour, elinewidth=0.8,
                        )  # fmt: skip
                        handles[f"{budget} network{'s' if budget > 1 else ''}"] = bar
            panel.set_title(textwrap.fill(titled(str(graph), str(partition)), 16), fontsize=7)
            panel.set_xlabel(textwrap.fill(with_unit(self.metric), 16), fontsize=7)
            panel.set_yticks(range(len(lines)), names, fontsize=6)
            panel.tick_params(axis="x", labelsize=6)
            panel.grid(axis="y", visible=False)
        panels[0].invert_yaxis()
        add_legend(figure, handles)
        return figure
