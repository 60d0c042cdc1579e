"""Distance to the optimum against bytes and against simulated time, where a token walks among agents."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from dimat.tasks.task import Metric
from paper.comparisons import seeds_said
from paper.figures.comparison import ComparisonFigure
from paper.figures.optimum import DISTANCE

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

PAID = {"MiB": "MiB sent by an agent", "simulated s": "simulated time [s]"}
"""What is paid for coming closer, by column of `costs`."""


class TokenFigure(ComparisonFigure):
    """Does one step at a time pay, in bytes and in time?"""

    kind = "token"

    @override
    def applies(self) -> bool:
        runs = self.runs.values()
        measured = all("optimum" in run.measures for run in runs)
        return measured and bool(self.study.links) and any(run.method.takes_turns for run in runs)

    @override
    def caption(self) -> str:
        links = self.study.links
        assert links
        waits = f"wait for all {links.nodes} nodes of their own" if links.nodes else "wait for no nodes"
        return (
            "Distance of agents to the minimizer of the loss of all images, relative to its norm "
            f"({self.comparison.words()}), against what an agent has sent, and against simulated time: "
            f"{links.step:g} ms for a gradient step, {links.latency:g} ms and {links.bandwidth:g} MB/s for "
            "messages. Agents that hand on a token work one after the other; with a code, they wait until "
            f"the answers of their nodes suffice, each {links.delay:g} ms late on average. All others work "
            f"at once, and {waits}. Means over agents, right after merges; lines are means over seeds, "
            f"{seeds_said(self.runs.values())}."
        )

    @property
    @override
    def metric(self) -> Metric:
        return DISTANCE

    @override
    def values(self, runs: "pandas.DataFrame", records: "pandas.DataFrame") -> "pandas.DataFrame":
        """From the first merge on: the distance, and what was paid for it."""
        from paper.measured import costs, in_turns

        paid = costs(records, self.study.links, in_turns(runs))
        return paid.join(super().values(runs, records)).query("round > 0")

    @override
    def finding(self, layout: Layout) -> str:
        from paper.findings import over_seeds

        rows = self.rows(layout)
        turns = rows.run.map({id: run.method.takes_turns for id, run in self.runs.items()})
        said = []
        for column, unit in {"MiB": "MiB sent by an agent", "simulated s": "simulated seconds"}.items():
            budget = _least(rows, column)
            best = [_closest(rows[turns == each], column, budget)[0] for each in (True, False)]
            said.append(f"With {budget:.3g} {unit}, the best with a token and without: {'; '.join(best)}.")
        walking, column = rows[turns], "simulated s"
        budget = _least(walking, column)
        said.append(f"With a token, after {budget:.3g} s: {'; '.join(_closest(walking, column, budget))}.")
        return f"{' '.join(said)} {over_seeds(rows.groupby('rival').seed.nunique())}"

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.looks import looks_of
        from paper.panels import add_legend, draw_band, lines_of, panel_rows, plain_numbers

        rows = self.rows(layout, drawn=True)
        (panels,), figure = panel_rows(1, columns=2, height=2.6, sharey=True)
        looks, lines = looks_of(self.study), {}
        for panel, (column, title) in zip(panels, PAID.items(), strict=True):
            shown = rows[rows[column] > 0]
            for line, look in lines_of(shown, looks):
                across = line.groupby("round")[column].transform("mean")  # times differ from seed to seed
                lines[look["label"]] = draw_band(panel, across, line.value, look)
            panel.set(xlabel=title, xscale="log", yscale="log")
            plain_numbers(panel.xaxis)
        plain_numbers(panels[0].yaxis)
        panels[0].set_ylabel(DISTANCE.title)
        add_legend(figure, lines)
        return figure


def _least(rows: "pandas.DataFrame", column: str) -> float:
    """What the most frugal of all runs has paid in the end."""
    return float(rows.groupby("run")[column].max().min())


def _closest(rows: "pandas.DataFrame", column: str, budget: float) -> list[str]:
    """How close each line comes within a budget, the closest first; logarithms are interpolated."""
    import numpy

    from paper.findings import quoted, reached

    found = {
        str(rival): numpy.exp(
            [numpy.interp(budget, run[column], numpy.log(run.value)) for _, run in line.groupby("run")]
        )
        for rival, line in rows.groupby("rival", sort=False)
    }
    return [
        f"{quoted(rival)} {reached(found[rival], DISTANCE)}"
        for rival in sorted(found, key=lambda rival: found[rival].mean())
    ]
