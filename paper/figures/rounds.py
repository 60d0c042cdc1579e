"""What figures of a metric after each merge have in common: a panel for each graph and partition."""

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import alike, seeds_said
from paper.figures.comparison import ComparisonFigure
from paper.metrics import opening

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class RoundsFigure(ComparisonFigure):
    """How agents do from merge to merge."""

    logarithmic: ClassVar[bool] = False

    @override
    def caption(self) -> str:
        scale = ", on a logarithmic axis" if self.logarithmic else ""
        return (
            f"{opening(self.metric.title)} right after each merge, mean over agents{scale} "
            f"({self.comparison.words()}). Merge 0 is before the first. A panel for each graph and "
            f"partition; lines are means over seeds, {seeds_said(self.runs.values())}. The dashed level is "
            "the mean of all agents and seeds before the first merge. Labels say what differs."
        )

    @override
    def finding(self, layout: Layout) -> str:
        from paper.findings import of_lines

        return of_lines(self.rows(layout), self.runs, self.metric)

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.looks import looks_of
        from paper.panels import (
            add_legend,
            draw_band,
            lines_of,
            panel_grid,
            show_metric,
            titled,
            whole_numbers,
        )

        rows = self.rows(layout, drawn=True)
        settings = list(rows.groupby(["graph", "partition"], sort=False))
        panels, figure = panel_grid(len(settings), columns=3, height=2.1)
        looks, lines = looks_of(self.study), {}
        for panel, ((graph, partition), here) in zip(panels, settings, strict=True):
            for line, look in lines_of(here, looks):
                lines[look["label"]] = draw_band(panel, line["round"], line.value, look)
            panel.set(title=titled(str(graph), str(partition)), xlabel="merges")
            whole_numbers(panel)
            self._draw_start(panel, here, lines)
        show_metric(panels, self.metric, rows.value, self.logarithmic)
        for panel in (panel for place, panel in enumerate(panels) if place % 3):
            panel.set_ylabel("")
        add_legend(figure, lines)
        return figure

    def _draw_start(self, panel: "Axes", here: "pandas.DataFrame", lines: dict) -> None:
        """The mean of what all agents start from: a level for each kind of start."""
        from paper.panels import START

        before = here[here["round"] == 0].drop_duplicates("run")
        starts = {run: self.runs[run].pretrained for run in before.run if self.runs[run].partition}
        values = before.set_index("run").value
        for ids in alike(starts).values():
            shared = {starts[id].id: values[id] for id in ids}  # methods share the starts of their seeds
            level = sum(shared.values()) / len(shared)
            lines[START["label"]] = panel.axhline(level, **START)
