"""Figures of the audit: bounds, tightness, readings of the gap, real networks, gains and bytes."""

import textwrap
from collections.abc import Callable

import numpy
import pandas
from matplotlib import pyplot
from matplotlib.figure import Figure

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from paper.data import read_records
from paper.style import OTHER_COLOURS, WIDTH
from theory.communication import sent_by_run, with_closed_forms
from theory.first_merges import first_merges
from theory.gains import right_after_merges
from theory.holonomy import ALL, read_holonomy
from theory.readings import READINGS
from theory.report import read_audit

COLOURS = ["#0072b2", "#d55e00", *OTHER_COLOURS]
MARKERS = "osD^vPX*<>"
KEY = ["data", "model", "agents", "partition", "graph", "merge", "seed"]


def draw_audit(study: Study, layout: Layout, shows: str) -> Figure:
    """One of `DRAWN`, which says what each needs."""
    return DRAWN[shows](study, layout)


def _audit(layout: Layout) -> pandas.DataFrame:
    rows = read_audit(layout.audit)
    rows = rows[rows.verdict.isin(["holds", "violated", "undecided"])]
    numbers = ("agents", "measured", "low", "high", "bound")
    return rows.assign(**{name: pandas.to_numeric(rows[name]) for name in numbers})


def _holonomy(study: Study, layout: Layout) -> pandas.DataFrame:
    return read_holonomy(layout.holonomy(id) for id in first_merges(study))


def draw_bounds(study: Study, layout: Layout) -> Figure:
    """Every bound against what was measured; below the diagonal a bound would be violated."""
    rows = _audit(layout)
    figure, panels = pyplot.subplots(1, 2, figsize=(WIDTH, 3.3))
    for panel, claim in zip(panels, ("convergence", "disagreement"), strict=True):
        of_claim = rows[rows.claim == claim]
        for place, (problem, points) in enumerate(of_claim.groupby("problem", sort=False)):
            panel.errorbar(
                points.measured,
                points.bound,
                xerr=[points.measured - points.low, points.high - points.measured],
                fmt=MARKERS[place],
                color=COLOURS[place],
                markersize=3.5,
                elinewidth=0.7,
                linestyle="",
                label=problem,
            )
        ends = [of_claim.measured.min() / 2, of_claim.bound.max() * 2]
        panel.plot(ends, ends, color="black", linewidth=1)
        panel.annotate(
            "measured = bound", (ends[0], ends[0]), (4, -2), textcoords="offset points", fontsize=7
        )
        panel.set(xscale="log", yscale="log", ylabel="bound")
    panels[0].set(title=f"convergence, {(rows.claim == 'convergence').sum()} settings")
    panels[0].set_xlabel(r"measured mean of $\|\nabla f(\bar x_k)\|^2$")
    panels[1].set(title=f"disagreement, {(rows.claim == 'disagreement').sum()} settings")
    panels[1].set_xlabel(r"measured mean of $\Xi_k$")
    panels[0].legend(fontsize=8)
    return figure


def draw_tightness(study: Study, layout: Layout) -> Figure:
    """Bound over measured number, by graph."""
    rows = _audit(layout)
    rows = rows[rows.claim.isin(["convergence", "disagreement"])]
    rows = rows.assign(ratio=rows.bound / rows.measured)
    graphs = list(dict.fromkeys(rows.graph))
    titles = rows.statement.str.partition(", tau")[0]
    kinds = list(dict.fromkeys(titles))
    figure, panels = pyplot.subplots(1, 2, figsize=(WIDTH, 3.6), sharey=True)
    for panel, claim in zip(panels, ("convergence", "disagreement"), strict=True):
        for place, kind in enumerate(kinds):
            points = rows[(rows.claim == claim) & (titles == kind)]
            across = points.graph.map(graphs.index) + 0.13 * (place - (len(kinds) - 1) / 2)
            panel.plot(across, points.ratio, MARKERS[place], color=COLOURS[place], markersize=3.5, label=kind)
        panel.axhline(1, color="black", linewidth=1)
        panel.set_xticks(range(len(graphs)), graphs, rotation=35, ha="right")
        panel.set(yscale="log", title=claim)
    panels[0].set_ylabel("bound / measured (1 is attained)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def draw_readings(study: Study, layout: Layout) -> Figure:
    """Every reading of sqrt(rho') with each kind of permutations, against sqrt(rho)."""
    rows = _audit(layout)
    rows = rows[(rows.claim == "spectral gap") & rows.statement.str.endswith("permutations")]
    parts = rows.statement.str.removesuffix(" permutations").str.rpartition(", ")
    rows = rows.assign(reading=parts[0], kind=parts[2])
    cases = list(rows.groupby(["graph", "agents"], sort=False))
    kinds = list(dict.fromkeys(rows.kind))
    figure, panels = pyplot.subplots(1, len(cases), figsize=(WIDTH, 3.0), sharey=True)
    for panel, ((graph, agents), case) in zip(panels, cases, strict=True):
        for place, reading in enumerate(READINGS):
            points = case[case.reading == reading.name]
            across = points.kind.map(kinds.index) + 0.14 * (place - 1.5)
            panel.plot(
                across,
                points.measured,
                MARKERS[place],
                color=COLOURS[place],
                markersize=4,
                label=reading.name,
            )
        root = case[(case.kind == "no")].measured.min()
        panel.axhline(root, color="black", linewidth=1, label=r"$\sqrt{\rho}$")
        panel.set_xticks(range(len(kinds)), kinds, rotation=40, ha="right")
        panel.set_title(f"{graph}, {agents:.0f} agents", fontsize=8)
    panels[0].set_ylabel(r"$\sqrt{\rho'}$")
    panels[0].set_ylim(-0.05, None)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    return figure


def draw_holonomy(study: Study, layout: Layout) -> Figure:
    """Real networks at their first merge, by layer: cycles, orbits, and the second eigenvalue."""
    rows = _holonomy(study, layout)
    graphs = list(dict.fromkeys(rows.graph))
    layers = list(dict.fromkeys(rows.layer))
    ways = list(dict.fromkeys(_how(rows)))
    columns = {
        "closed_share": "return around a cycle\n[share]",
        "orbit_share": "orbits / coordinates",
        "eigenvalue": r"$\sqrt{\rho'}$ by eigenvalues",
    }
    rows = rows.assign(orbit_share=rows.orbits / rows["size"], how=_how(rows))
    figure, axes = pyplot.subplots(
        len(graphs), 3, figsize=(WIDTH, 1.2 + 1.9 * len(graphs)), squeeze=False, sharex=True
    )
    for across, graph in zip(axes, graphs, strict=True):
        here = rows[rows.graph == graph]
        for panel, (name, title) in zip(across, columns.items(), strict=True):
            for place, way in enumerate(ways):
                points = here[here.how == way]
                shift = (place - (len(ways) - 1) / 2) * 0.6 / len(ways)
                panel.plot(
                    points.layer.map(layers.index) + shift,
                    points[name],
                    MARKERS[place % len(MARKERS)],
                    color=COLOURS[place % len(COLOURS)],
                    markersize=3,
                    alpha=0.7,
                    label=way,
                )
            if name == "eigenvalue":
                panel.axhline(here.root.iloc[0], color="black", linewidth=1)
                panel.annotate(r"$\sqrt{\rho}$", (0, here.root.iloc[0]), (-8, 3), textcoords="offset points")
            panel.set_ylim(-0.05, 1.08)
            panel.set_xticks(range(len(layers)), layers, rotation=40, ha="right", fontsize=7)
            if graph == graphs[0]:
                panel.set_title(title, fontsize=8)
        across[0].set_ylabel(graph)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _how(rows: pandas.DataFrame) -> pandas.Series:
    return (rows.matching + ", " + rows["merge"]).str.removeprefix(", ")


def draw_gain(study: Study, layout: Layout) -> Figure:
    """What the first merge gains by matching, against how much of the disagreement matching leaves."""
    accuracy = right_after_merges(read_records(layout.records))
    first = accuracy[accuracy["round"] == accuracy["round"].min()].astype({"agents": int, "seed": int})
    own = first[first.title == "DIMAT"]
    averaged = first[first.title == "WA"].drop_duplicates([*KEY, "protocol"])
    both = own.merge(averaged[[*KEY, "protocol", "accuracy"]], on=[*KEY, "protocol"], suffixes=("", "_wa"))
    measured = _holonomy(study, layout)
    whole = measured[measured.layer == ALL].astype({"agents": int, "seed": int})
    whole = whole.assign(left=whole.disagreement_after / whole.disagreement_before)
    points = both.merge(whole[[*KEY, "matching", "left"]], on=[*KEY, "matching"])
    points = points.assign(gain=points.accuracy - points.accuracy_wa, how=_how(points))
    ways, partitions = (list(dict.fromkeys(points[name])) for name in ("how", "partition"))
    graphs = list(points.groupby("graph", sort=False))
    figure, axes = pyplot.subplots(1, len(graphs), figsize=(WIDTH, 3.6), squeeze=False, sharey=True)
    seen = {}
    for panel, (graph, here) in zip(axes[0], graphs, strict=True):
        for (partition, way), found in here.groupby(["partition", "how"], sort=False):
            look = {"color": COLOURS[partitions.index(partition)], "markersize": 5, "alpha": 0.7}
            (seen[f"{partition}, {way}"],) = panel.plot(
                found.left, found.gain, MARKERS[ways.index(way)], **look
            )
        panel.axhline(0, color="black", linewidth=1)
        panel.set_title(graph)
        panel.set_xlabel("disagreement after matching / before")
    axes[0, 0].set_ylabel("gain at the first merge\n[points of accuracy]")
    figure.legend(seen.values(), seen.keys(), loc="outside lower center", ncols=2, fontsize=7)
    return figure


def draw_bytes(study: Study, layout: Layout) -> Figure:
    """Bytes of models that were counted, against their closed form."""
    runs = with_closed_forms(sent_by_run(read_records(layout.records)), _holonomy(study, layout))
    figure, panel = pyplot.subplots(figsize=(WIDTH * 0.7, 3.2))
    for place, ((title, words), points) in enumerate(runs.groupby(["title", "words"], sort=False)):
        label = textwrap.fill(f"{title}: {words}", 30)
        size = 9 - place  # rings around each other, where methods send the same
        look = {"color": COLOURS[place], "markersize": size, "fillstyle": "none", "label": label}
        panel.plot(points.expected / 1e6, points.models / 1e6, "o", **look)
    ends = numpy.array([runs.expected.min() / 1.5, runs.expected.max() * 1.5]) / 1e6
    panel.plot(ends, ends, color="black", linewidth=1)
    panel.set(xscale="log", yscale="log", xlabel="closed form [MB, all agents]", ylabel="counted [MB]")
    figure.legend(loc="outside right center", fontsize=7)
    return figure


DRAWN: dict[str, Callable[[Study, Layout], Figure]] = {
    "bounds": draw_bounds,
    "tightness": draw_tightness,
    "readings": draw_readings,
    "holonomy": draw_holonomy,
    "gain": draw_gain,
    "bytes": draw_bytes,
}
