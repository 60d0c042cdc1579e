"""The primary metric against gradient steps and against bytes sent: a row of two panels for each setting."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import seeds_said
from paper.figures.comparison import ComparisonFigure
from paper.metrics import opening

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

SAID = 5
"""Lines of a setting, of which sentences say what they reach."""


class CostsFigure(ComparisonFigure):
    """What methods pay for how well they do."""

    kind = "costs"

    @override
    def applies(self) -> bool:
        """Where the optimum is measured, the distance to it has such a figure of its own."""
        if any("optimum" in run.measures for run in self.runs.values()):
            return False
        several_rounds = any(run.training.rounds > 1 for run in self.runs.values())
        return self.comparison.has_others and self.comparison.agents > 1 and several_rounds

    @override
    def caption(self) -> str:
        return (
            f"{opening(self.comparison.metric.title)} against what it costs, right after each merge "
            f"({self.comparison.words()}): gradient steps of an agent since the start, and MiB that an agent "
            "has sent. Methods that communicate at every step have sent nothing at merge 1; those that send "
            "nothing are missing on the right. Means over agents; lines are means over seeds, "
            f"{seeds_said(self.runs.values())}, on the left."
        )

    @override
    def values(self, runs: "DataFrame", records: "DataFrame") -> "DataFrame":
        from paper.measured import costs

        return costs(records).join(super().values(runs, records)).query("round > 0")

    @override
    def finding(self, layout: Layout) -> str:
        from paper.findings import by_setting, first_and_last, in_the_end, over_seeds, quoted, reached

        rows, metric = self.rows(layout), self.metric
        said = []
        for where, (here, lines) in first_and_last(by_setting(rows)).items():
            sent = here.groupby(["rival", "round"]).MiB.mean().groupby("rival").last()
            ends = in_the_end(lines)
            best = sorted(ends, key=lambda rival: -metric.gain(float(ends[rival].mean())))
            numbers = [
                f"{quoted(rival)} {reached(ends[rival], metric)} for {sent[rival]:.3g} MiB"
                for rival in best[:SAID]
            ]
            which = f" (the best {SAID} of {len(best)})" if len(best) > SAID else ""
            said.append(f"{opening(where)}, in the end{which}: {'; '.join(numbers)}.")
        return f"{' '.join(said)} {over_seeds(rows.groupby('rival').seed.nunique())}"

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.looks import looks_of
        from paper.panels import (
            add_legend,
            draw_band,
            lines_of,
            panel_rows,
            plain_numbers,
            show_metric,
            titled,
            whole_numbers,
        )

        rows = self.rows(layout, drawn=True)
        settings = list(rows.groupby(["graph", "partition"], sort=False))
        axes, figure = panel_rows(len(settings), columns=2, height=2.0)
        looks, lines = looks_of(self.study), {}
        for (taken, sent), ((graph, partition), here) in zip(axes, settings, strict=True):
            for line, look in lines_of(here, looks):
                steps = line.groupby("round").steps.transform("mean")  # who sleeps differs from seed to seed
                lines[look["label"]] = draw_band(taken, steps, line.value, look)
                means = line.groupby("round")[["MiB", "value"]].mean()
                spent = means[means.MiB > 0]
                sent.plot(spent.MiB, spent.value, **look | {"marker": look["marker"] or "."})
            title = titled(str(graph), str(partition))
            taken.set(title=title, xlabel="gradient steps of an agent")
            sent.set(title=title, xlabel="MiB sent by an agent", xscale="log")
            plain_numbers(sent.xaxis)
            communicating = here[here.MiB > 0]
            if (most := communicating.steps.max()) > 0:  # a pooled network takes many more
                taken.set_xlim(0, most)
            whole_numbers(taken)
        show_metric(list(axes.flat), self.comparison.metric, rows.value)
        for panel in axes[:, 1]:
            panel.set_ylabel("")
        add_legend(figure, lines)
        return figure
