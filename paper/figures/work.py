"""The primary metric against bytes sent and operations of gradient steps, where methods train slices."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from dimat.experiment.work import images_of, step_operations
from paper.comparisons import seeds_said
from paper.figures.comparison import ComparisonFigure
from paper.metrics import opening

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

GIGA, ROUND_OFF = 1e9, 1e-9
COSTS = {"MiB": "MiB sent by an agent", "Gop": "10⁹ operations of an agent's steps"}
"""What is paid, and how axes say it."""


class WorkFigure(ComparisonFigure):
    """What slices of networks save: bytes and operations."""

    kind = "work"

    @override
    def applies(self) -> bool:
        sliced = any(run.method.deals_channels for run in self.runs.values())
        return (
            sliced and self.comparison.agents > 1 and any(r.training.rounds > 1 for r in self.runs.values())
        )

    @override
    def caption(self) -> str:
        return (
            f"{opening(self.comparison.metric.title)} against bytes and operations, right after each merge "
            f"({self.comparison.words()}): MiB that an agent has sent since the start, and operations of its "
            "gradient steps, two for each product in a layer, three times those of the forward pass. Where "
            "agents train slices of networks, operations are those of the slices alone, as of networks that "
            "are smaller; here they were computed as whole networks with zeros, which saves nothing. "
            "Evaluation and repair are not counted. Methods that send nothing are missing on the left. Means "
            f"over agents; lines are means over seeds, {seeds_said(self.runs.values())}."
        )

    @override
    def values(self, runs: "pandas.DataFrame", records: "pandas.DataFrame") -> "pandas.DataFrame":
        """After merges: the metric as ``value``, ``MiB``, ``Gop``, and whether a run is ``sliced``."""
        import pandas

        from paper.measured import costs

        found = costs(records).join(super().values(runs, records))
        per_step = pandas.DataFrame(
            {
                id: {
                    "before": step_operations(run.pretrained, images_of(run.data)),
                    "after": step_operations(run, images_of(run.data)),
                    "sliced": run.method.deals_channels,
                }
                for id, run in self.runs.items()
            }
        ).T
        found = found.join(per_step, on="run")
        first = found.groupby("run").steps.transform("first")
        operations = first * found.before + (found.steps - first) * found.after
        found = found.assign(Gop=operations.astype(float) / GIGA, sliced=found.sliced.astype(bool))
        return found.query("round > 0")

    @override
    def finding(self, layout: Layout) -> str:
        from paper.findings import over_seeds, setting_said

        rows = self.rows(layout)
        settings = list(rows.groupby(["graph", "partition"], sort=False))
        said, seeds = [], set()
        for (graph, partition), here in settings:
            where = f"{opening(setting_said(graph, partition))}: " if len(settings) > 1 else ""
            for label in here[here.sliced].rival.unique():
                said.append(where + self._against_others(str(label), here))
                seeds.add(here[here.rival == label].seed.nunique())
        return " ".join([*said, over_seeds(seeds)]) if said else ""

    def _against_others(self, label: str, here: "pandas.DataFrame") -> str:
        """How a line ends, and what it and the others had paid when they first did as well."""
        from paper.findings import apart, quoted, reached

        metric, own = self.comparison.metric, quoted(label)
        lines = {str(rival): line for rival, line in here.groupby("rival", sort=False)}
        ends = {rival: line[line["round"] == line["round"].max()] for rival, line in lines.items()}
        values = {rival: end.set_index("seed").value for rival, end in ends.items()}
        goal = metric.gain(float(values[label].mean()))
        when = self._when(lines[label], goal)
        said = [f"{own} ends with {reached(values[label], metric)}, first reached {when}"]
        for rival in (rival for rival, end in ends.items() if not end.sliced.any()):
            difference = apart(values[label].sub(values[rival]).dropna(), metric)
            when = self._when(lines[rival], goal)
            said.append(
                f"{quoted(rival)} ends with {reached(values[rival], metric)} (difference {difference}), and "
                + (f"first does as well as {own} {when}" if when else f"never does as well as {own}")
            )
        return f"{'; '.join(said)}."

    def _when(self, line: "pandas.DataFrame", goal: float) -> str:
        """When the mean of a ``line`` first reaches a ``goal``, and what was paid by then; or nothing."""
        from paper.findings import merge_said

        means = line.groupby("round")[["value", *COSTS]].mean()
        good = means[means.value.map(self.comparison.metric.gain) >= goal - ROUND_OFF]
        return "" if good.empty else f"{merge_said(good.index[0])} ({paid(good.iloc[0])})"

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
        )

        rows = self.rows(layout, drawn=True)
        settings = list(rows.groupby(["graph", "partition"], sort=False))
        axes, figure = panel_rows(len(settings), columns=len(COSTS), height=2.2)
        looks, lines = looks_of(self.study), {}
        for panels, ((graph, partition), here) in zip(axes, settings, strict=True):
            for line, look in lines_of(here, looks):
                for panel, cost in zip(panels, COSTS, strict=True):
                    across = line.groupby("round")[cost].transform("mean")
                    some = across > 0
                    if some.any():
                        style = look | {"marker": look["marker"] or "."}
                        lines[look["label"]] = draw_band(panel, across[some], line.value[some], style)
            for panel, axis in zip(panels, COSTS.values(), strict=True):
                panel.set(title=titled(str(graph), str(partition)), xlabel=axis, xscale="log")
                plain_numbers(panel.xaxis)
        show_metric(list(axes.flat), self.comparison.metric, rows.value)
        for panel in axes[:, 1]:
            panel.set_ylabel("")
        add_legend(figure, lines)
        return figure


def paid(means: "pandas.Series") -> str:
    """What an agent has paid, in words."""
    sent = f"{means.MiB:.3g} MiB and " if means.MiB else ""
    return f"{sent}{means.Gop:.3g} x 10⁹ operations of an agent"
