"""Panels of a figure, the lines in them, and one legend below."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy
import pandas
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from typing_extensions import override

from dimat.experiment.cells import labelled
from dimat.tasks.task import Metric
from paper.drawn import plain
from paper.intervals import half_widths
from paper.metrics import with_unit
from paper.style import WIDTH, pyplot

MANY = 8
"""Entries of a legend in one column."""
START = {"label": "agents before the first merge", "color": "0.35", "linestyle": "--", "linewidth": 1.0}
"""How a level looks that agents start from."""


def panel_grid(count: int, columns: int, height: float, **sharing: Any) -> tuple[list[Axes], Figure]:
    """``count`` panels in even rows of at most ``columns``, each ``height`` inches high."""
    rows = -(-count // columns)
    columns = -(-count // rows)
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
    """The mean over seeds at each place ``across``, and a band of its 95 % t-interval; of one seed, none.

    A line of one place is a point.
    """
    over_seeds = up.groupby(across)
    mean, count = over_seeds.mean(), over_seeds.count()
    if (count > 1).any():
        half = half_widths(over_seeds.std(ddof=1), count)
        panel.fill_between(mean.index, mean - half, mean + half, color=look["color"], alpha=0.15, linewidth=0)
    shown: dict[str, Any] = look | ({"marker": look["marker"] or "."} if len(mean) == 1 else {})
    (line,) = panel.plot(mean.index, mean, **shown)
    return line


def show_metric(panels: list[Axes], metric: Metric, values: pandas.Series, logarithmic: bool = False) -> None:
    """The vertical axis of a metric; shares in percent start at 0, a logarithmic one at what is positive."""
    for panel in panels:
        panel.set_ylabel(with_unit(metric))
        if logarithmic:
            positive = values[values > 0]
            low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
            panel.set_ylim(low / 1.3, high * 1.3)
            panel.set_yscale("log", nonpositive="clip")
            plain_numbers(panel.yaxis)
        elif metric.unit == "%":
            panel.set_ylim(0, min(100, values.max() + 5))


def whole_numbers(panel: Axes) -> None:
    """No fractions of merges or steps."""
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))


class FewTicks(LogLocator):
    """At most ``most`` ticks on a logarithmic axis, at numbers that are easy to read."""

    def __init__(self, most: int = 5) -> None:
        super().__init__()
        self.most = most

    @override
    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        low, high = sorted((vmin, vmax))
        powers = numpy.arange(numpy.floor(numpy.log10(low)), numpy.ceil(numpy.log10(high)) + 1)
        for multiples in ((1, 2, 5), (1, 3), (1,)):
            ticks = numpy.multiply.outer(10.0**powers, multiples).ravel()
            ticks = ticks[(low <= ticks) & (ticks <= high)]
            if len(ticks) <= self.most:
                break
        if len(ticks) < 2:
            return MaxNLocator(self.most - 1).tick_values(low, high)
        return ticks[:: -(-len(ticks) // self.most)].tolist()


def plain_numbers(axis: Axis) -> None:
    """Few ticks on a logarithmic axis, and no powers of ten."""
    axis.set_major_locator(FewTicks())
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def powers_of_ten(axis: Axis) -> None:
    """Ticks of an axis of logarithms as what they are logarithms of."""
    axis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_major_formatter(lambda power, _: f"$10^{{{power:.0f}}}$")


def add_legend(figure: Figure, handles: Mapping[str, Artist]) -> None:
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
