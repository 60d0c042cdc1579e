"""Panels of a figure, the lines in them, and one legend below."""

import textwrap
from collections.abc import Iterator
from typing import Any

import numpy
import pandas
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from dimat.experiment.cells import labelled
from dimat.tasks.task import Metric
from paper.drawn import plain
from paper.metrics import with_unit
from paper.style import WIDTH, pyplot

MANY = 8
"""Entries of a legend in one column."""


def panel_grid(count: int, columns: int, height: float, **sharing: Any) -> tuple[list[Axes], Figure]:
    """``count`` panels in rows of at most ``columns``, each ``height`` inches high."""
    columns = min(columns, count)
    rows = -(-count // columns)
    size = (max(WIDTH / 3 * columns, WIDTH / 2), 0.9 + height * rows)
    figure, axes = pyplot.subplots(rows, columns, figsize=size, squeeze=False, **sharing)
    for panel in axes.flat[count:]:
        panel.set_axis_off()
    return list(axes.flat[:count]), figure


def panel_rows(rows: int, columns: int, height: float, **sharing: Any) -> tuple[numpy.ndarray, Figure]:
    """Axes (rows, columns) over the width of the text, each row ``height`` inches high."""
    size = (WIDTH, 0.9 + height * rows)
    figure, axes = pyplot.subplots(rows, columns, figsize=size, squeeze=False, **sharing)
    return axes, figure


def labels_in_figures(runs: pandas.DataFrame) -> pandas.DataFrame:
    """What `labelled` says of ``runs``, as text that figures show as it is."""
    labels = labelled(runs)
    words = labels.select_dtypes(exclude="number").columns
    return labels.assign(**{name: labels[name].map(plain) for name in words})


def titled(graph: str, partition: str) -> str:
    """The title of the panel of a setting; without a graph where nobody communicates."""
    return "\n".join(textwrap.wrap(", ".join(filter(None, [graph, partition])), 40))


def lines_of(
    rows: pandas.DataFrame, looks: dict[str, dict[str, Any]]
) -> Iterator[tuple[pandas.DataFrame, dict[str, Any]]]:
    """The rows of each line, which differ in the seed alone, and its look with its label."""
    for rival, here in rows.groupby("rival", sort=False):
        yield here, looks[here.run.iloc[0]] | {"label": rival, "linewidth": 1.4, "markersize": 3.5}


def draw_band(panel: Axes, across: pandas.Series, up: pandas.Series, look: dict[str, Any]) -> Line2D:
    """The mean over seeds at each place ``across``, and a band of one standard deviation.

    A line of one place is a point.
    """
    over_seeds = up.groupby(across)
    mean, deviation = over_seeds.mean(), over_seeds.std(ddof=1).fillna(0)
    low, high = mean - deviation, mean + deviation
    panel.fill_between(mean.index, low, high, color=look["color"], alpha=0.15, linewidth=0)
    shown: dict[str, Any] = look | ({"marker": look["marker"] or "."} if len(mean) == 1 else {})
    (line,) = panel.plot(mean.index, mean, **shown)
    return line


def show_metric(panels: list[Axes], metric: Metric, values: pandas.Series) -> None:
    """The vertical axis of the primary metric; shares in percent start at 0."""
    for panel in panels:
        panel.set_ylabel(with_unit(metric))
        if metric.unit == "%":
            panel.set_ylim(0, min(100, values.max() + 5))


def whole_numbers(panel: Axes) -> None:
    """No fractions of merges or steps."""
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))


def plain_numbers(axis: Axis) -> None:
    """Few ticks on a logarithmic axis, and no powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def add_legend(figure: Figure, handles: dict[str, Artist]) -> None:
    """A legend below all panels; long labels are wrapped, so that it is no wider than the figure."""
    if len(handles) > MANY:  # two columns need the whole width
        figure.set_figwidth(max(WIDTH, figure.get_figwidth()))
    characters = int(figure.get_figwidth() * 15)
    columns = max(1, min(3, len(handles), characters // (max(map(len, handles)) + 8)))
    if columns < 2 <= characters // 50:
        columns = 2
    wide = characters // columns - 8
    labels = [textwrap.fill(label, wide, subsequent_indent="   ") for label in handles]
    lines = sum(label.count("\n") + 1 for label in labels) / columns
    figure.set_figheight(figure.get_figheight() + max(0, lines - 3) * 0.15)  # so that panels keep theirs
    figure.legend(
        list(handles.values()), labels, loc="outside lower center", ncols=columns, fontsize=7, handlelength=3
    )
