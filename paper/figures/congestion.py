"""Where congestion controllers come to rest, with few flows and many on one link."""

from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.communication.congestion.adpg import Adpg
from dimat.communication.congestion.bottleneck import Bottleneck, base_delays
from dimat.communication.congestion.queue import jain
from dimat.communication.congestion.resting import FLOWS, INTERVALS, LAST
from dimat.communication.congestion.signal import OnSignal
from dimat.experiment.layout import Layout
from paper.shown import PaperFigure

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

CLOSE = 0.05
"""Relative deviation of round trips and of Jain's index from what is predicted, up to which they are so."""


def predicted(controller: OnSignal, buffer: float, spread: float, flows: int) -> tuple[float, float]:
    """The nearest flow's round trip, and Jain's index, where all signals are 0; or with a full queue."""
    queue, rates = controller.at_rest(base_delays(spread, flows))
    return 1 + min(queue, buffer), jain(rates)


class CongestionFigure(PaperFigure):
    """Delay, use of the link, losses and fairness against the number of flows."""

    kind = "congestion"

    @property
    def bottleneck(self) -> Bottleneck:
        """The shared link."""
        assert self.study.bottleneck is not None
        return self.study.bottleneck

    @override
    def applies(self) -> bool:
        return self.study.bottleneck is not None

    @override
    def reads(self, layout: Layout) -> list[Path]:
        return [layout.at_rest]

    @override
    def caption(self) -> str:
        spread = self.bottleneck.spread
        seeds = len({run.seed for run in self.study.runs.values()})
        text = (
            f"Flows that never end, on one link with a queue: means over the last {LAST} of {INTERVALS} "
            "decisions of each flow, from random rates on. The round trip is that of the nearest flow, in "
            "round trips without a queue. Lines are means over seeds, bands their 95 % t-intervals (n = "
            f"{seeds} seeds; a controller that learns has another policy for each). Dotted is the fixed "
            "point that follows from RL-CC's signal, for controllers that use it."
        )
        if spread:
            text += (
                " With unequal delays, round trips without a queue are evenly apart, the longest "
                f"{100 * spread:g} % above the shortest."
            )
        return text

    @override
    def finding(self, layout: Layout) -> str:
        from paper.findings import over_seeds
        from paper.simulated import mean_said, read_at_rest

        rows = read_at_rest(layout)
        said = []
        for place, controller in enumerate(self.bottleneck.controller):
            here = rows[rows.controller == place]
            equal = here[here.spread == 0]
            most = equal[equal.flows == max(FLOWS)]
            told = f"{controller.label()}: {mean_said(most.round_trip)} round trips with {max(FLOWS)} flows"
            if isinstance(controller, OnSignal):
                told += self._against_prediction(controller, equal)
                told += self._with_unequal_delays(controller, here[here.spread > 0])
            else:
                told += f", {mean_said(100 * most.lost, '%')} lost"
            said.append(told)
        return f"{'. '.join(said)}. {over_seeds([rows.seed.nunique()])}"

    def _against_prediction(self, controller: OnSignal, equal: "pandas.DataFrame") -> str:
        """How far from the fixed point flows rest, and whether also where their number was not trained on."""
        expected = {flows: predicted(controller, self.bottleneck.buffer, 0.0, flows)[0] for flows in FLOWS}
        apart = (equal.round_trip / equal.flows.map(expected) - 1).abs()
        told = (
            f", {expected[max(FLOWS)]:.3g} predicted; with {min(FLOWS)} to {max(FLOWS)} at most "
            f"{max(0.01, 100 * apart.max()):.2g} % from what is predicted, and Jain's index at least "
            f"{equal.jain.min():.3f}"
        )
        if isinstance(controller, Adpg):
            new = ~equal.flows.isin(controller.flows)
            fails = (apart[new] > CLOSE) | (equal.jain[new] < 1 - CLOSE)
            does = "does not generalise" if fails.any() else "generalises"
            trained = ", ".join(map(str, controller.flows))
            told += f": trained on {trained} flows, it {does} to others, by a criterion of {100 * CLOSE:g} %"
        return told

    def _with_unequal_delays(self, controller: OnSignal, rows: "pandas.DataFrame") -> str:
        """Jain's index where it is lowest."""
        if rows.empty:
            return ""
        means = rows.groupby("flows").jain.mean()
        flows = min(FLOWS, key=lambda flows: means[flows])
        expected = predicted(controller, self.bottleneck.buffer, self.bottleneck.spread, flows)[1]
        return (
            f"; with unequal delays Jain's index is {means.min():.2f} with {flows} flows, "
            f"{expected:.2f} predicted"
        )

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.panels import add_legend, draw_band, panel_grid, plain_numbers
        from paper.simulated import controller_looks, read_at_rest

        rows = read_at_rest(layout)
        spread = self.bottleneck.spread
        shown = [
            ("round_trip", "round trip over an empty one", 0.0),
            ("utilisation", "use of the capacity", 0.0),
            ("lost", "share that is lost", 0.0),
            ("jain", "Jain's index", 0.0),
        ]
        if spread:
            unequal = [("round_trip", "round trip"), ("jain", "Jain's index")]
            shown += [(column, f"{title}, unequal delays", spread) for column, title in unequal]
        panels, figure = panel_grid(len(shown), columns=3 if spread else 2, height=2.0)
        lines = {}
        for panel, (column, title, apart) in zip(panels, shown, strict=True):
            for place, look in enumerate(controller_looks(self.bottleneck)):
                here = rows[(rows.controller == place) & (rows.spread == apart)]
                lines[look["label"]] = draw_band(panel, here.flows, here[column], look)
            if column in ("round_trip", "jain"):
                lines |= self._draw_predicted(panel, column, apart)
            panel.set(title=title, xlabel="flows", xscale="log")
            plain_numbers(panel.xaxis)
            if column != "round_trip":
                panel.set_ylim(-0.04, 1.06)
        add_legend(figure, lines)
        return figure

    def _draw_predicted(self, panel: "Axes", column: str, spread: float) -> "dict[str, Line2D]":
        """The fixed point, once for each signal."""
        look = {"color": "black", "linestyle": ":", "linewidth": 1.6, "zorder": 3, "label": "predicted"}
        lines = {}
        for controller in self.bottleneck.controller:
            if isinstance(controller, OnSignal):
                found = [predicted(controller, self.bottleneck.buffer, spread, flows) for flows in FLOWS]
                (lines["predicted"],) = panel.plot(FLOWS, [each[column == "jain"] for each in found], **look)
        return lines
