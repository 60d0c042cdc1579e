"""Models that agents send in a local epoch: as counted, beside the authors' formula."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.outlines import start_file, start_outline
from dimat.experiment.runs import Run
from paper.comparisons import distinct
from paper.figures.group import GroupFigure, named, sends_between_merges

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

STEPS_OF_EPOCH = 100
"""Of the authors' formula: 50,000 images, 5 agents and batches of 100, taken for any number of agents."""
AT_MERGES, AT_STEPS = ("dimat", "wa"), ("sgp", "cdsgd")
"""Methods that the authors' formula is for, by when they communicate."""


def authors_formula(run: Run) -> float | None:
    """Models that an agent sends in a local epoch by the authors' script; `None` where it says nothing."""
    neighbours = {"complete": run.agents - 1, "ring": 2}.get(run.graph.name if run.graph else "")
    if neighbours is None or run.method.name not in AT_MERGES + AT_STEPS:
        return None
    return neighbours * STEPS_OF_EPOCH if run.method.name in AT_STEPS else neighbours / run.training.epochs


@dataclass(frozen=True)
class CommunicationFigure(GroupFigure):
    """All numbers of agents and graphs of one data set, model and protocol."""

    kind = "communication"

    @classmethod
    @override
    def groups(cls, study: Study) -> Iterator[tuple[str, dict[str, Run]]]:
        found: dict[Any, dict[str, Run]] = {}
        for id, run in study.runs.items():
            if sends_between_merges(run):
                found.setdefault((run.task, run.data, run.model, run.protocol), {})[id] = run
        for (_, data, model, protocol), runs in found.items():
            yield named(data.name, model.name, protocol), runs

    @override
    def reads(self, layout: Layout) -> list[Path]:
        return [*super().reads(layout), start_file(layout, self.first.pretrained.id)]

    @override
    def caption(self) -> str:
        run = self.first
        setting = ", ".join(filter(None, [run.data.label(), run.model.label(), run.protocol]))
        return (
            f"Models that an agent sends in a local epoch, on a logarithmic axis ({setting}). Counted: bytes "
            "of models that were sent between the first and the last merge, over the bytes of one network "
            "(parameters and buffers), agents and epochs. Authors' formula: neighbours (2 on a ring, N - 1 "
            "on the complete graph of N agents) over epochs between merges for DIMAT and WA, 100 times the "
            "neighbours for SGP and CDSGD, whatever the number of agents; it was not measured, and for other "
            "methods and graphs there is none."
        )

    @override
    def finding(self, layout: Layout) -> str:
        import numpy

        from dimat.experiment.cells import labelled

        rows = self._sent(layout, labelled)
        if rows.empty:
            return "Nothing was sent between merges."
        both = rows.dropna(subset=["formula"])
        said = []
        if len(both):
            ratios = both.counted / both.formula
            agree = int(((ratios - 1).abs() <= 0.01).sum())
            most = both.iloc[int(numpy.abs(numpy.log(ratios.to_numpy())).argmax())]
            said.append(
                f"The count is what the authors' formula says, within 1 %, for {agree} of {len(both)} bars"
            )
            if agree < len(both):
                said[0] += (
                    f"; they differ most for {most.line} on {most.graph} of {most.agents} agents, "
                    f"{most.counted:.3g} models counted against {most.formula:.3g}"
                )
        counted = rows.counted.to_numpy()
        least, largest = rows.iloc[int(counted.argmin())], rows.iloc[int(counted.argmax())]
        most_sent = f"{largest.counted:.3g} ({largest.line}, {largest.graph} of {largest.agents} agents)"
        least_sent = f"{least.counted:.3g} ({least.line}, {least.graph} of {least.agents})"
        said.append(f"In a local epoch an agent sends at most {most_sent} and at least {least_sent} models")
        return f"{'. '.join(said)}."

    @override
    def draw(self, layout: Layout) -> "Figure":
        import textwrap

        from matplotlib.artist import Artist
        from matplotlib.patches import Patch

        from paper.panels import add_legend, labels_in_figures, panel_rows, plain_numbers
        from paper.style import COLOURS

        rows = self._sent(layout, labels_in_figures)
        lines, counts = distinct(rows.line), sorted(set(rows.agents))
        settings = list(rows.groupby("setting", sort=False))
        columns = min(2, max(1, len(settings)))
        thick = 0.8 / max(1, 2 * len(counts))
        height = 0.35 + len(lines) * max(0.22 * len(counts), 0.3)
        across = -(-max(1, len(settings)) // columns)
        axes, figure = panel_rows(across, columns, height, sharex=True, sharey=True)
        for panel in axes.flat[len(settings) :]:
            panel.set_axis_off()
        for panel, (setting, here) in zip(axes.flat, settings, strict=False):
            for line, agents, counted, formula in here[["line", "agents", "counted", "formula"]].to_numpy():
                colour = COLOURS[counts.index(agents) % len(COLOURS)]
                place = lines.index(line) - 0.4 + thick * (2 * counts.index(agents) + 0.5)
                bars = [panel.barh(place, counted, thick * 0.9, color=colour, zorder=2)]
                if not math.isnan(formula):
                    look: dict[str, Any] = {
                        "facecolor": "white",
                        "edgecolor": colour,
                        "hatch": "//////",
                        "linewidth": 0.8,
                    }
                    bars.append(panel.barh(place + thick, formula, thick * 0.8, zorder=2, **look))
                for bar in bars:
                    panel.bar_label(bar, fmt="{:.3g}", fontsize=5.5, padding=1.5)
            panel.set_title("\n".join(textwrap.wrap(str(setting), 44)))
            panel.grid(visible=False, axis="y")
        if lines:
            numbers = rows[["counted", "formula"]].stack()
            low, high = numbers.min() / 2, numbers.max()
            axes[0, 0].set(xscale="log", xlim=(low, high * (high / low) ** 0.15))
            axes[0, 0].set_yticks(range(len(lines)), [textwrap.fill(line, 30) for line in lines])
            axes[0, 0].set_ylim(len(lines) - 0.5, -0.5)
            plain_numbers(axes[0, 0].xaxis)
        for panel in axes[:, 0]:
            panel.tick_params(axis="y", labelsize=8)
        for panel in axes.flat[max(0, len(settings) - columns) : max(1, len(settings))]:
            panel.set_xlabel("models sent by an agent in a local epoch")
            panel.tick_params(labelbottom=True)
        handles: dict[str, Artist] = {
            f"{agents} agents, counted": Patch(color=COLOURS[place % len(COLOURS)])
            for place, agents in enumerate(counts)
        }
        if rows.formula.notna().any():
            handles["authors' formula, not measured"] = Patch(
                facecolor="white", edgecolor="0.3", hatch="//////"
            )
        if handles:
            add_legend(figure, handles)
        return figure

    def _sent(self, layout: Layout, labels_of: Any) -> "pandas.DataFrame":
        """Models ``counted`` and by the ``formula``, for each ``setting``, number of agents and ``line``.

        Lines of one method that send alike everywhere are one, and so are partitions.
        """
        import pandas

        from paper.findings import setting_said
        from paper.measured import read_shown

        runs, records = read_shown(layout, self.runs)
        size = start_outline(layout, self.first.pretrained.id)["network_bytes"]
        rows = records[(records.metric == "bytes_sent_models") & (records.stage == "merged")]
        sent = dict(rows.groupby(["run", "round"]).value.sum().items())
        counted, formula = {}, {}
        for id, run in self.runs.items():
            last, epochs = run.training.rounds, run.training.epochs
            between = sent.get((id, last), 0.0) - sent.get((id, 1), 0.0)
            counted[id] = between / (run.agents * size * (last - 1) * epochs)
            formula[id] = authors_formula(run)
        found = labels_of(runs)[["graph", "partition", "agents", "method", "rival"]]
        numbers = {
            "counted": pandas.Series(counted, dtype=float),
            "formula": pandas.Series(formula, dtype=float),
        }
        found = found.join(pandas.DataFrame(numbers))
        found = found[found.counted > 0]
        found = found.assign(counted=found.counted.map(lambda number: float(f"{number:.9g}")))
        keys = ["graph", "partition", "agents"]
        different = found.groupby(["method", *keys]).counted.nunique() > 1
        several = different.groupby("method").any()
        found["line"] = found.rival.where(found.method.map(several).astype(bool), found.method)
        means = found.groupby([*keys, "line"], sort=False)[["counted", "formula"]].mean().reset_index()
        alike: dict[Any, list[str]] = {}
        for (graph, partition), here in means.groupby(["graph", "partition"], sort=False):
            content = tuple(map(tuple, here[["agents", "line", "counted"]].to_numpy()))
            alike.setdefault((graph, content), []).append(str(partition))
        kept = {(graph, places[0]): places for (graph, _), places in alike.items()}
        of_rows = pandas.MultiIndex.from_frame(means[["graph", "partition"]])
        means = means[of_rows.isin(list(kept))]
        means["setting"] = [
            setting_said(graph, "; ".join(kept[graph, partition]))
            for graph, partition in zip(means.graph, means.partition, strict=True)
        ]
        return means
