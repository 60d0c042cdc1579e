"""What matching did at each merge: a row of panels for each setting, a column for each quantity."""

import textwrap
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from dimat.experiment.runs import Run
from dimat.merging.drift import DRIFT
from dimat.tasks.task import Metric
from paper.comparisons import distinct, seeds_said
from paper.figures.comparison import ComparisonFigure

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

SHOWN = {
    "moved_share": "neurons moved\n[share]",
    "objective_gain": "gain over staying\n[mean correlation]",
    "closed_share": "return around a cycle\n[share]",
    "distance_after": "distance of neighbours\nafter matching",
    DRIFT: "drift of the mean\n[learning rates]",
}
"""Titles of columns by what is recorded, of each layer or of all together. Older records have no drift."""
SHARES = ("moved_share", "closed_share", "distance_after")
"""What is never above 1."""
LEARNING_RATES = Metric(DRIFT, "drift of the mean", "learning rates", better="lower")


class MatchingFigure(ComparisonFigure):
    """How much matching changes, and how well neighbours fit afterwards."""

    kind = "matching"

    @override
    def applies(self) -> bool:
        return self.comparison.agents > 1 and any(run.training.rounds > 1 for run in self.runs.values())

    @property
    @override
    def runs(self) -> dict[str, Run]:
        return {id: run for id, run in super().runs.items() if run.matching}

    @override
    def caption(self) -> str:
        return (
            f"What matching did at each merge ({self.comparison.words()}). Moved: neurons of a neighbour "
            "that change places. Gain: how much higher the mean correlation of matched neurons is than in "
            "place, only where neurons were matched anew. Return: neurons that are matched with themselves "
            "when matches are followed around a cycle of the graph; what does not return is averaged with "
            "other neurons of the same network. Distance: squared distance of neighbours after matching, "
            "over the sum of their squared norms; 1 is unrelated, 0 equal. Drift, where it is recorded: "
            "how far the merge moves the mean of all agents, over the learning rate. Means over links and "
            f"layers; lines are means over seeds, {seeds_said(self.runs.values())}."
        )

    @override
    def finding(self, layout: Layout) -> str:
        """Which way of matching moves the mean most, and which least, where drift is recorded."""
        from paper.findings import by_setting, in_the_end, merge_said, opening, over_seeds, quoted, reached

        rows = self._rows(layout)
        rows = rows[rows.metric == DRIFT]
        if rows.empty:
            return ""
        said = []
        for where, (_, lines) in by_setting(rows).items():
            ends = in_the_end(lines)
            order = sorted(ends, key=lambda rival: ends[rival].mean())
            numbers = [
                f"{reached(ends[rival], LEARNING_RATES)} with {quoted(rival)}"
                for rival in distinct([order[-1], order[0]])
            ]
            last = merge_said(int(rows[rows.rival == order[-1]]["round"].max()))
            said.append(f"{opening(where)}: {last} the mean has moved by {', and by '.join(numbers)}.")
        return f"Drift. {' '.join(said)} {over_seeds(rows.groupby('rival').seed.nunique())}"

    def _rows(self, layout: Layout, *, drawn: bool = False) -> "pandas.DataFrame":
        """What is shown, with labels: a row for each run, round and metric, the mean over layers."""
        from dimat.experiment.cells import labelled
        from paper.measured import read_shown

        labels_of = labelled
        if drawn:
            from paper.panels import labels_in_figures as labels_of
        runs, records = read_shown(layout, self.runs)
        of_merges = records[(records.layer != "") | (records.metric == DRIFT)]
        means = of_merges.groupby(["run", "round", "metric"]).value.mean().reset_index()
        return labels_of(runs).rename_axis("run").reset_index().merge(means, on="run")

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.looks import looks_of
        from paper.panels import add_legend, draw_band, lines_of, panel_rows, whole_numbers

        rows = self._rows(layout, drawn=True)
        settings = list(rows.groupby(["graph", "partition"], sort=False))
        metrics = [metric for metric in SHOWN if metric in set(rows.metric)]
        axes, figure = panel_rows(len(settings), columns=len(metrics), height=1.4, sharex=True)
        looks, lines = looks_of(self.study), {}
        for across, ((graph, partition), here) in zip(axes, settings, strict=True):
            for panel, metric in zip(across, metrics, strict=True):
                for line, look in lines_of(here[here.metric == metric], looks):
                    lines[look["label"]] = draw_band(panel, line["round"], line.value, look)
                if not panel.lines:  # in a graph without cycles
                    panel.text(0.5, 0.5, "none", transform=panel.transAxes, ha="center", color="#777777")
                panel.set_ylim(0, 1.05 if metric in SHARES else None)
                whole_numbers(panel)
                panel.locator_params(axis="x", nbins=5)  # panels are narrow
            across[0].set_ylabel(textwrap.fill(f"{graph}, {partition}", 22))
        for panel, metric in zip(axes[0], metrics, strict=True):
            panel.set_title(SHOWN[metric], fontsize=8)
        for panel in axes[-1]:
            panel.set_xlabel("merges")
        add_legend(figure, lines)
        return figure
