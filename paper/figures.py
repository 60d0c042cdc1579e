"""The figures: each is drawn from records, partitions or graphs alone."""

import textwrap

import networkx
import numpy
import pandas
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from pandas.core.groupby import SeriesGroupBy

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.io.files import read_json
from paper.audit_figures import draw_audit
from paper.comparison import costs_by_round
from paper.contents import Accuracy, Audit, Costs, Graphs, Holdings, Matching, distinct, figures_of
from paper.data import (
    RIVAL,
    in_every_setting,
    matching_by_round,
    merged_accuracy,
    read_records,
    rival_label,
)
from paper.style import LINE_STYLES, WIDTH, as_svg, inks


def draw(study: Study, layout: Layout, name: str) -> bytes:
    """One figure of a study as SVG."""
    what = figures_of(study)[name]
    if isinstance(what, Accuracy):
        figure = draw_accuracy(what, read_records(layout.records))
    elif isinstance(what, Costs):
        records = read_records(layout.records)
        figure = draw_costs(costs_by_round(records[records.run.isin(what.runs)]), what.agents)
    elif isinstance(what, Matching):
        records = read_records(layout.records)
        figure = draw_matching(records[records.run.isin(what.runs)])
    elif isinstance(what, Holdings):
        figure = draw_holdings(what, read_json(layout.deal(what.deal.id)))
    elif isinstance(what, Audit):
        figure = draw_audit(study, layout, what.shows)
    else:
        figure = draw_graphs(what)
    return as_svg(figure)


def draw_accuracy(what: Accuracy, records: pandas.DataFrame) -> Figure:
    """Accuracy after each merge, one panel for each graph and partition, a band over seeds."""
    accuracy = in_every_setting(merged_accuracy(records[records.run.isin(what.runs)]), what.agents)
    looks, common = looks_of(accuracy)
    settings = list(accuracy.groupby(["graph", "partition"], sort=False))
    panels, figure = panel_grid(len(settings), columns=3, height=2.1)
    lines = {}
    for place, (panel, ((graph, partition), here)) in enumerate(zip(panels, settings, strict=True)):
        for rival, runs in here.groupby(RIVAL[:3], sort=False):
            lines[looks[rival]["label"]] = draw_band(panel, runs.groupby("round").accuracy, looks[rival])
        panel.set_title(f"{graph}, {partition}")
        panel.set_ylim(0, min(100, accuracy.accuracy.max() + 5))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set_xlabel("merges")
        panel.set_ylabel("" if place % 3 else "test accuracy [%]")
    seeds = accuracy.seed.nunique()
    heading = (
        f"{what.agents} agents, mean over agents{common}\n"
        f"line: mean, band: ± 1 standard deviation over {seeds} seed{'s' * (seeds > 1)}"
    )
    add_legend(figure, lines, heading)
    return figure


def panel_grid(count: int, columns: int, height: float) -> tuple[list[Axes], Figure]:
    """``count`` panels in rows of at most ``columns``, each ``height`` inches high."""
    columns = min(columns, count)
    rows = -(-count // columns)
    size = (max(WIDTH / 3 * columns, WIDTH / 2), 0.9 + height * rows)
    figure, axes = pyplot.subplots(rows, columns, figsize=size, squeeze=False)
    for panel in axes.flat[count:]:
        panel.set_axis_off()
    return list(axes.flat[:count]), figure


def panel_rows(rows: int, columns: int, height: float) -> tuple[numpy.ndarray, Figure]:
    """Axes (rows, columns) over the width of the text, each row ``height`` inches high."""
    figure, axes = pyplot.subplots(rows, columns, figsize=(WIDTH, 0.9 + height * rows), squeeze=False)
    return axes, figure


def draw_band(panel: Axes, over_seeds: SeriesGroupBy, look: dict[str, str]) -> Line2D:
    """The mean over seeds against rounds and a band of one standard deviation."""
    mean, deviation = over_seeds.mean(), over_seeds.std(ddof=1).fillna(0)
    low, high = mean - deviation, mean + deviation
    panel.fill_between(mean.index, low, high, color=look["color"], alpha=0.15, linewidth=0)
    (line,) = panel.plot(mean.index, mean, **look, linewidth=1.4, markersize=3)
    return line


def add_legend(figure: Figure, lines: dict[str, Line2D], heading: str) -> None:
    """A legend below all panels; long labels are wrapped, so that it is no wider than the figure."""
    longest = max(map(len, lines))
    columns = 3 if longest <= 34 else 2
    labels = [textwrap.fill(label, 34 if columns == 3 else 52, subsequent_indent="   ") for label in lines]
    extra = sum(label.count("\n") + 1 for label in labels) / columns - 3
    figure.set_figheight(figure.get_figheight() + max(0, extra) * 0.15)  # room, so that panels keep theirs
    figure.legend(
        lines.values(),
        labels,
        loc="outside lower center",
        ncols=columns,
        fontsize=8 if columns == 3 else 7,
        title=heading,
        title_fontsize=8,
    )


def looks_of(rows: pandas.DataFrame) -> tuple[dict[tuple[str, str, str], dict[str, str]], str]:
    """The looks of each (method, matching, merge): label, colour, marker; each merge has its line style.

    Labels leave out a merge that all have in common; it is returned for the heading.
    """
    rivals = distinct(zip(rows["method"], rows["matching"], rows["merge"], strict=True))
    merges = distinct(merge for _, _, merge in rivals if merge)
    styles = {"": "-"} | {merge: LINE_STYLES[place % len(LINE_STYLES)] for place, merge in enumerate(merges)}
    ink = inks((method, matching) for method, matching, _ in rivals)
    common = len(merges) == 1
    looks = {
        (method, matching, merge): ink[method, matching]
        | {"linestyle": styles[merge], "label": rival_label(method, matching, "" if common else merge)}
        for method, matching, merge in rivals
    }
    return looks, f"; {merges[0]}" if common else ""


def draw_costs(costs: pandas.DataFrame, agents: int) -> Figure:
    """Accuracy against gradient steps and against bytes sent: a row of two panels for each setting."""
    costs = in_every_setting(costs[costs["round"] > 0], agents)
    looks, common = looks_of(costs)
    settings = list(costs.groupby(["graph", "partition"], sort=False))
    axes, figure = panel_rows(len(settings), columns=2, height=2.0)
    lines = {}
    for across, ((graph, partition), here) in zip(axes, settings, strict=True):
        for rival, runs in here.groupby(RIVAL[:3], sort=False):
            look = looks[rival]
            lines[look["label"]] = draw_band(across[0], runs.groupby("steps", sort=True).accuracy, look)
            means = runs.groupby("round")[["mebibytes", "accuracy"]].mean()
            spends = means[means.mebibytes > 0]
            dots = look | {"marker": look["marker"] or "."}
            across[1].plot(spends.mebibytes, spends.accuracy, **dots, linewidth=1.4, markersize=3)
        across[0].set_ylabel("test accuracy [%]")
        across[0].set_xlabel("gradient steps of an agent")
        across[1].set_xlabel("MiB sent by an agent")
        across[1].set_xscale("log")
        across[0].xaxis.set_major_locator(MaxNLocator(integer=True))
        across[0].set_xlim(0, here[here.mebibytes > 0].steps.max())  # a pooled network takes many more
        for panel in across:
            panel.set_title(f"{graph}, {partition}")
            panel.set_ylim(0, min(100, costs.accuracy.max() + 5))
    add_legend(
        figure,
        lines,
        f"{agents} agents; means over agents and seeds, band: ± 1 standard deviation over seeds{common}",
    )
    return figure


MATCHING_SHOWN = {
    "moved_share": "neurons moved\n[share]",
    "objective_gain": "gain over staying\n[mean correlation]",
    "closed_share": "return around a cycle\n[share]",
    "distance_after": "distance of neighbours\nafter matching",
}
"""Columns of the figure of matchings, by metric."""


def draw_matching(records: pandas.DataFrame) -> Figure:
    """What matching did at each merge: a row of panels for each setting, a column for each quantity."""
    rows = matching_by_round(records)
    looks, common = looks_of(rows)
    settings = list(rows.groupby(["graph", "partition"], sort=False))
    metrics = [metric for metric in MATCHING_SHOWN if metric in set(rows.metric)]
    size = (WIDTH, 1.2 + 1.4 * len(settings))
    figure, axes = pyplot.subplots(len(settings), len(metrics), figsize=size, squeeze=False, sharex=True)
    lines = {}
    for across, ((graph, partition), here) in zip(axes, settings, strict=True):
        for panel, metric in zip(across, metrics, strict=True):
            for rival, runs in here[here.metric == metric].groupby(RIVAL[:3], sort=False):
                look = looks[rival]
                lines[look["label"]] = draw_band(panel, runs.groupby("round").value, look)
            panel.set_ylim(0, None if metric == "objective_gain" else 1.05)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        across[0].set_ylabel(f"{graph},\n{partition}")
    for panel, metric in zip(axes[0], metrics, strict=True):
        panel.set_title(MATCHING_SHOWN[metric], fontsize=8)
    for panel in axes[-1]:
        panel.set_xlabel("merges")
    heading = f"means over links, layers and seeds; band: ± 1 standard deviation over seeds{common}"
    add_legend(figure, lines, heading)
    return figure


def draw_holdings(what: Holdings, partition: dict) -> Figure:
    """Bubbles: how many images of each class each agent holds, in each phase."""
    phases = [phase for phase in ("pretrain", "train") if phase == "train" or _phases_differ(partition)]
    names = {"pretrain": ", before the first merge", "train": ", between merges" if len(phases) > 1 else ""}
    agents, classes = len(partition["train"]), len(partition["classes"])
    height = 1.0 + 0.28 * min(agents, 20) * len(phases)
    figure, axes = pyplot.subplots(len(phases), 1, figsize=(WIDTH * 0.6, height + 0.5), squeeze=False)
    for panel, phase in zip(axes[:, 0], phases, strict=True):
        counts = numpy.array([agent["counts"] for agent in partition[phase]])
        label, agent = numpy.meshgrid(range(classes), range(agents))
        largest = 170 * min(1, 10 / classes)
        panel.scatter(
            label, agent, s=largest * counts / counts.max(), color="#0072b2", linewidths=0, zorder=3
        )
        panel.set_xlim(-0.7, classes - 0.3)
        panel.set_ylim(agents - 0.4, -0.6)
        panel.set_yticks(range(agents), [f"{i}  ({n:,})" for i, n in enumerate(counts.sum(1))])
        if classes <= 20:
            tilt = 40 if max(map(len, partition["classes"])) > 3 else 0
            panel.set_xticks(
                range(classes), partition["classes"], rotation=tilt, ha="right" if tilt else "center"
            )
        panel.set_ylabel("agent (images)")
        panel.set_title(
            f"{what.deal.partition.label()}{names[phase]}\n"
            f"seed {what.deal.seed}, largest disc: {counts.max():,} images"
        )
    axes[-1, 0].set_xlabel("class")
    return figure


def draw_graphs(what: Graphs) -> Figure:
    """Every communication graph with its spectral gap; of one that changes in time, all its links."""
    panels, figure = panel_grid(len(what.graphs), columns=4, height=1.3)
    for panel, (graph, agents) in zip(panels, what.graphs, strict=True):
        panel.set_axis_off()
        network = graph.network(agents)
        networkx.draw_networkx(
            network,
            networkx.circular_layout(network),
            ax=panel,
            node_color="#cfe3f1",
            edge_color="#555555",
            node_size=180,
            font_size=8,
        )
        changes = "time-varying, " if graph.period(agents) > 1 else ""
        gap = 1 - graph.contraction(agents)
        title = textwrap.fill(f"{graph.label()}, {agents} agents", 32)
        panel.set_title(f"{title}\n{changes}spectral gap {gap:.3f}")
        panel.margins(0.2)
    return figure


def _phases_differ(partition: dict) -> bool:
    return [agent["images"] for agent in partition["pretrain"]] != [
        agent["images"] for agent in partition["train"]
    ]
