"""How figures look, and how they are written: the same bytes for the same content."""

import io

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.figure import Figure

METHOD_COLOURS = {
    "DIMAT": "#0072b2",
    "WA": "#d55e00",
    "no communication": "#777777",
    "pooled training": "#000000",
}
"""Colours that stay apart for colour-blind readers (Okabe and Ito)."""
OTHER_COLOURS = ["#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442"]
LINE_STYLES = ["-", "--", ":", "-."]

pyplot.rcParams.update(
    {
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#dddddd",
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "svg.hashsalt": "dimat",
        "svg.fonttype": "path",
        "figure.constrained_layout.use": True,
    }
)


def colour(method: str, methods: list[str]) -> str:
    """The colour of a method: fixed for the known ones, else by its place among the others."""
    others = [name for name in methods if name not in METHOD_COLOURS]
    return METHOD_COLOURS.get(method) or OTHER_COLOURS[others.index(method) % len(OTHER_COLOURS)]


def as_svg(figure: Figure) -> bytes:
    """The figure as SVG, without a date."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return content.getvalue()
