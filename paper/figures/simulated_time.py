"""The primary metric against simulated time on a shared link, under each congestion controller."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.communication.congestion.bottleneck import Bottleneck
from dimat.experiment.layout import Layout
from paper.comparisons import seeds_said
from paper.figures.comparison import ComparisonFigure
from paper.metrics import opening

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

CLOSE = 0.01
"""Relative differences of times of which nothing is said."""
Labels = Callable[["pandas.DataFrame"], "pandas.DataFrame"]


class SimulatedTimeFigure(ComparisonFigure):
    """How soon agents do how well, if they share a link."""

    kind = "simulated-time"

    @property
    def bottleneck(self) -> Bottleneck:
        """The shared link."""
        assert self.study.bottleneck is not None
        return self.study.bottleneck

    @property
    def _sending(self) -> list[str]:
        """The ids of runs in which agents communicate."""
        runs = self.runs.items()
        return [id for id, run in runs if run.graph and run.agents > 1 and run.method.communicates != "never"]

    @override
    def applies(self) -> bool:
        several_rounds = any(self.runs[id].training.rounds > 1 for id in self._sending)
        return self.study.bottleneck is not None and several_rounds

    @override
    def reads(self, layout: Layout) -> list[Path]:
        return [*super().reads(layout), layout.simulated]

    @override
    def caption(self) -> str:
        link = self.bottleneck
        farther = f", {100 * link.spread:g} % more for the farthest agent" if link.spread else ""
        return (
            f"{opening(self.comparison.metric.title)} right after each merge against simulated time "
            f"({self.comparison.words()}). Agents share one link of {link.capacity:g} MB/s; while its queue "
            f"is empty, a round trip takes {link.round_trip:g} ms{farther}, and the longest queue takes "
            f"{link.buffer * link.round_trip:g} ms; a gradient step takes {link.step:g} ms. Runs are those "
            "that were recorded, with their bytes: agents wait for all messages of an exchange, so that a "
            "controller changes when a merge is, and not what comes of it. A panel for each method; means "
            f"over agents, lines are means over seeds, {seeds_said(self.runs.values())}."
        )

    @override
    def finding(self, layout: Layout) -> str:
        from dimat.experiment.cells import labelled
        from paper.findings import over_seeds, quoted, setting_said
        from paper.simulated import mean_said

        metric = self.comparison.metric
        rows, equal = (self._rows(layout, labelled, spread) for spread in (self.bottleneck.spread, 0.0))
        settings = list(rows.groupby(["graph", "partition"], sort=False))
        said = []
        for (graph, partition), here in settings:
            means = here.groupby(["rival", "round"], sort=False).value.mean().unstack("round")
            ends = means.apply(lambda line: line.dropna().iloc[-1], axis=1)
            level = min(ends, key=metric.gain)
            of_methods = []
            for rival, line in means.iterrows():
                reached = [round for round, value in line.dropna().items() if metric.gain(value - level) >= 0]
                then, same = (of[(of.rival == rival) & (of["round"] == reached[0])] for of in (here, equal))
                same = same[same.run.isin(then.run)]
                under = []
                for place, controller in enumerate(self.bottleneck.controller):
                    times, others = (of.seconds[of.controller == place] for of in (then, same))
                    under.append(f"{mean_said(times, 's')} with {controller.label()}")
                    if times.mean() > (1 + CLOSE) * others.mean():
                        under[-1] += f" ({mean_said(others, 's')} with equal delays)"
                of_methods.append(f"{quoted(str(rival))} {', '.join(under)}")
            where = f" ({setting_said(graph, partition)})" if len(settings) > 1 else ""
            goal = f"{level:.3g} {metric.unit}".rstrip()
            said.append(
                f"Until the mean is {goal}, that of the worst in the end{where}: {'; '.join(of_methods)}"
            )
        return f"{'. '.join(said)}. {over_seeds([rows.seed.nunique()])}"

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.panels import add_legend, draw_band, labels_in_figures, panel_grid, show_metric, titled
        from paper.simulated import controller_looks

        rows = self._rows(layout, labels_in_figures, self.bottleneck.spread)
        found = list(rows.groupby(["graph", "partition", "rival"], sort=False))
        several = len(rows[["graph", "partition"]].drop_duplicates()) > 1
        panels, figure = panel_grid(len(found), columns=3, height=2.1)
        lines = {}
        for place, (panel, ((graph, partition, rival), here)) in enumerate(zip(panels, found, strict=True)):
            for number, look in enumerate(controller_looks(self.bottleneck)):
                line = here[here.controller == number]
                times = line["round"].map(line.groupby("round").seconds.mean())
                lines[look["label"]] = draw_band(panel, times, line.value, look | {"marker": ""})
            where = titled(str(graph), str(partition)) if several else ""
            title = "\n".join(filter(None, [where, titled(str(rival), "")]))
            panel.set(title=title, xlabel="simulated time [s]")
            panel.set_xlim(left=0)
            show_metric([panel], self.comparison.metric, rows.value)
            if place % 3:
                panel.set_ylabel("")
        add_legend(figure, lines)
        return figure

    def _rows(self, layout: Layout, labels_of: Labels, spread: float) -> "pandas.DataFrame":
        """The metric and simulated seconds after each merge of runs that communicate, with labels."""
        from paper.measured import placed, read_shown, values_by_round
        from paper.simulated import read_simulated

        runs, records = read_shown(layout, self._sending)
        rounds = values_by_round(runs, records).query("round > 0").reset_index()
        times = read_simulated(layout)
        times = times[times.spread == spread]
        rows = placed(labels_of(runs), self.comparison.agents).merge(rounds, on="run")
        return rows.merge(times, on=["run", "round"])
