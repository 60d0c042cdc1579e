"""The mean of all agents' networks beside the agents themselves, merge by merge, and their difference."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from dimat.experiment.runs import Run
from paper.comparisons import seeds_said
from paper.figures.comparison import ComparisonFigure
from paper.metrics import opening

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


class MeanModelFigure(ComparisonFigure):
    """Is the mean of all networks better than the networks?"""

    kind = "mean-model"

    @property
    @override
    def runs(self) -> dict[str, Run]:
        runs = self.comparison.runs
        return {id: run for id, run in runs.items() if "mean_model" in run.measures and run.partition}

    @override
    def applies(self) -> bool:
        return self.comparison.agents > 1 and bool(self.runs)

    @override
    def caption(self) -> str:
        return (
            f"{opening(self.comparison.metric.title)} right after each merge "
            f"({self.comparison.words()}): mean over agents; of the one network whose parameters are the "
            "mean over all agents, its normalization repaired as that of merged networks is; and the "
            "difference, mean network minus agents. Merge 0 is before the first. Lines are means over "
            f"seeds, {seeds_said(self.runs.values())}."
        )

    @override
    def values(self, runs: "pandas.DataFrame", records: "pandas.DataFrame") -> "pandas.DataFrame":
        """The ``value`` of agents, the mean network's (``whole``), and the ``gain``."""
        from paper.measured import values_by_round

        of_mean = self.metric._replace(name=f"mean_model_{self.metric.name}")
        whole = values_by_round(runs, records, of_mean).value.rename("whole")
        found = super().values(runs, records).join(whole, how="inner")
        return found.assign(gain=found.whole - found.value)

    @override
    def finding(self, layout: Layout) -> str:
        from paper.findings import Pair, by_setting, of_pairs, quoted, reference

        rows, metric, pairs = self.rows(layout), self.metric, {}
        means = by_setting(rows, "whole")
        for where, (here, lines) in by_setting(rows).items():
            own = reference(lines, here, self.runs, metric)
            names = f"the mean of all networks of {quoted(own)}", "the agents themselves"
            pairs[where] = Pair.of(*names, means[where][1][own], lines[own])
        return of_pairs({where: pair for where, pair in pairs.items() if pair}, metric, first=0)

    @override
    def draw(self, layout: Layout) -> "Figure":
        import textwrap

        import pandas

        from paper.findings import setting_said
        from paper.looks import looks_of
        from paper.metrics import unit_of_differences, with_unit
        from paper.panels import (
            add_legend,
            draw_band,
            lines_of,
            panel_rows,
            show_metric,
            whole_numbers,
        )

        rows, metric = self.rows(layout, drawn=True), self.metric
        settings = list(rows.groupby(["graph", "partition"], sort=False))
        axes, figure = panel_rows(len(settings), columns=3, height=1.7, sharex=True)
        looks, lines = looks_of(self.study), {}
        columns = {
            "value": "mean of the agents",
            "whole": "mean network",
            "gain": "mean network minus agents",
        }
        for across, (_, here) in zip(axes, settings, strict=True):
            for panel, column in zip(across, columns, strict=True):
                for line, look in lines_of(here, looks):
                    lines[look["label"]] = draw_band(panel, line["round"], line[column], look)
                whole_numbers(panel)
            across[2].axhline(0, color="black", linewidth=0.8)
            across[2].set_ylabel(textwrap.fill(unit_of_differences(metric), 18))
        show_metric(list(axes[:, :2].flat), metric, pandas.concat([rows.value, rows.whole]))
        for across, ((graph, partition), _) in zip(axes, settings, strict=True):
            setting = textwrap.fill(setting_said(graph, partition), 22)
            across[0].set_ylabel(f"{setting}\n{with_unit(metric)}")
            across[1].set_ylabel("")
        for panel, title in zip(axes[0], columns.values(), strict=True):
            panel.set_title(title)
        for panel in axes[-1]:
            panel.set_xlabel("merges")
        add_legend(figure, lines)
        return figure
