"""The primary metric after each merge: a panel for each graph and partition, a band over seeds."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.figures.comparison import ComparisonFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ProgressFigure(ComparisonFigure):
    """How agents do from merge to merge."""

    kind = "progress"

    @override
    def caption(self) -> str:
        metric = self.comparison.metric
        return (
            f"{metric.title.capitalize()} right after each merge, mean over agents "
            f"({self.comparison.words()}). Merge 0 is before the first. A panel for each graph and "
            "partition; lines are means over seeds, bands ± 1 standard deviation. Labels say what differs."
        )

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.looks import looks_of
        from paper.measured import placed, read_shown, values_by_round
        from paper.panels import (
            add_legend,
            draw_band,
            labels_in_figures,
            lines_of,
            panel_grid,
            show_metric,
            titled,
            whole_numbers,
        )

        runs, records = read_shown(layout, self.runs)
        rounds = values_by_round(runs, records).reset_index()
        rows = placed(labels_in_figures(runs), self.comparison.agents).merge(rounds, on="run")
        settings = list(rows.groupby(["graph", "partition"], sort=False))
        panels, figure = panel_grid(len(settings), columns=3, height=2.1)
        looks, lines = looks_of(self.study), {}
        for panel, ((graph, partition), here) in zip(panels, settings, strict=True):
            for line, look in lines_of(here, looks):
                lines[look["label"]] = draw_band(panel, line["round"], line.value, look)
            panel.set(title=titled(str(graph), str(partition)), xlabel="merges")
            whole_numbers(panel)
        show_metric(panels, self.comparison.metric, rows.value)
        for panel in (panel for place, panel in enumerate(panels) if place % 3):
            panel.set_ylabel("")
        add_legend(figure, lines)
        return figure
