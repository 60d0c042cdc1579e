"""What matching did at each merge: a row of panels for each setting, a column for each quantity."""

import textwrap
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from dimat.experiment.runs import Run
from paper.comparisons import seeds_said
from paper.figures.comparison import ComparisonFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = {
    "moved_share": "neurons moved\n[share]",
    "objective_gain": "gain over staying\n[mean correlation]",
    "closed_share": "return around a cycle\n[share]",
    "distance_after": "distance of neighbours\nafter matching",
}
"""Titles of columns by what is recorded of each layer."""


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
            "over the sum of their squared norms; 1 is unrelated, 0 equal. Means over links and layers; "
            f"lines are means over seeds, {seeds_said(self.runs.values())}."
        )

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.looks import looks_of
        from paper.measured import read_shown
        from paper.panels import add_legend, draw_band, labels_in_figures, lines_of, panel_rows, whole_numbers

        runs, records = read_shown(layout, self.runs)
        of_layers = (
            records[records.layer != ""].groupby(["run", "round", "metric"]).value.mean().reset_index()
        )
        rows = labels_in_figures(runs).rename_axis("run").reset_index().merge(of_layers, on="run")
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
                panel.set_ylim(0, None if metric == "objective_gain" else 1.05)
                whole_numbers(panel)
            across[0].set_ylabel(textwrap.fill(f"{graph}, {partition}", 22))
        for panel, metric in zip(axes[0], metrics, strict=True):
            panel.set_title(SHOWN[metric], fontsize=8)
        for panel in axes[-1]:
            panel.set_xlabel("merges")
        add_legend(figure, lines)
        return figure
