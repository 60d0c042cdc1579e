"""Distance to the optimum against gradient steps and messages: a column of two panels for each setting."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from dimat.tasks.task import Metric
from paper.comparisons import seeds_said
from paper.figures.comparison import ComparisonFigure
from paper.metrics import opening

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

DISTANCE = Metric("distance_to_optimum", "distance to the optimum", better="lower")
PAID = {"steps": "gradient steps", "messages": "messages sent"}
"""What an agent pays for coming closer, by column of `costs`."""
ABREAST = 4
"""Settings beside each other."""
MARKS = 8
"""Of a line of many rounds."""


class OptimumFigure(ComparisonFigure):
    """How close do agents come, and at what cost?"""

    kind = "optimum"

    @override
    def applies(self) -> bool:
        return all("optimum" in run.measures for run in self.runs.values())

    @override
    def caption(self) -> str:
        return (
            f"{opening(DISTANCE.title)}, the minimizer of the mean loss of all agents, relative to its norm "
            f"({self.comparison.words()}), after each merge: against gradient steps of an agent above, and "
            "against its messages below, of which those over links that fail are not sent. A column for each "
            "graph and partition. Means over agents; lines are geometric means over seeds, "
            f"{seeds_said(self.runs.values())}."
        )

    @property
    @override
    def metric(self) -> Metric:
        return DISTANCE

    @override
    def values(self, runs: "pandas.DataFrame", records: "pandas.DataFrame") -> "pandas.DataFrame":
        """From the first merge on: the distance as a power of 10, ``value``, and costs."""
        import numpy

        from paper.measured import costs

        found = costs(records).join(super().values(runs, records)).query("round > 0")
        return found.assign(value=numpy.log10(found.value))

    @override
    def finding(self, layout: Layout) -> str:
        from paper.findings import by_setting, first_and_last, in_the_end, over_seeds, quoted
        from paper.intervals import of_powers

        rows = self.rows(layout)
        said = []
        for where, (here, lines) in first_and_last(by_setting(rows)).items():
            sent = here.groupby(["rival", "round"]).messages.mean().groupby("rival").last()
            ends = in_the_end(lines)
            numbers = [
                f"{quoted(rival)} {of_powers(ends[rival])} with {sent[rival]:.0f} messages"
                for rival in sorted(ends, key=lambda rival: ends[rival].mean())
            ]
            said.append(f"{opening(where)}, after the last merge: {'; '.join(numbers)}.")
        return f"{' '.join(said)} {over_seeds(rows.groupby('rival').seed.nunique())}"

    @override
    def draw(self, layout: Layout) -> "Figure":
        import textwrap

        from paper.findings import setting_said
        from paper.looks import looks_of
        from paper.panels import (
            add_legend,
            draw_band,
            lines_of,
            panel_rows,
            plain_numbers,
            powers_of_ten,
        )

        rows = self.rows(layout, drawn=True)
        settings = list(rows.groupby(["graph", "partition"], sort=False))
        columns = min(ABREAST, len(settings))
        panels, figure = panel_rows(2 * -(-len(settings) // columns), columns, 1.8, sharey=True)
        looks, lines = looks_of(self.study), {}
        for panel in panels.flat:
            panel.set_axis_off()
        for place, ((graph, partition), here) in enumerate(settings):
            for half, (column, title) in enumerate(PAID.items()):
                panel = panels[2 * (place // columns) + half, place % columns]
                panel.set_axis_on()
                for line, look in lines_of(here[here[column] > 0], looks):
                    across = line.groupby("round")[column].transform("mean")  # what fails differs by seed
                    sparse = {"markevery": max(1, across.nunique() // MARKS)}
                    lines[look["label"]] = draw_band(panel, across, line.value, look | sparse)
                panel.set(xlabel=title)
                if place % columns == 0:
                    panel.set_ylabel(DISTANCE.title)
                if half == 0:
                    panel.set_title(textwrap.fill(setting_said(graph, partition), 84 // columns), fontsize=8)
                else:
                    panel.set_xscale("log")
                    plain_numbers(panel.xaxis)
        powers_of_ten(panels[0, 0].yaxis)
        add_legend(figure, lines)
        return figure
