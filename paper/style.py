"""How figures look, and how they are written: the same bytes for the same content."""

import io

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.figure import Figure

METHOD_COLOURS = {
    ("DIMAT", ""): "#0072b2",
    ("WA", ""): "#d55e00",
    ("no communication", ""): "#777777",
    ("pooled training", ""): "#000000",
}
"""Colours of methods with their published matching; they stay apart for colour-blind readers."""
OTHER_COLOURS = [
    *("#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255"),
    *("#999933", "#332288", "#44aa99", "#aa4499", "#661100"),
]
"""Colours of others, in order (Okabe and Ito; Tol)."""
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


def colours(rivals: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The colour of each (method, matching): fixed for the known ones, else by its place among the others."""
    others = [rival for rival in rivals if rival not in METHOD_COLOURS]
    places = {rival: OTHER_COLOURS[place % len(OTHER_COLOURS)] for place, rival in enumerate(others)}
    return {rival: METHOD_COLOURS.get(rival) or places[rival] for rival in rivals}


def as_svg(figure: Figure) -> bytes:
    """The figure as SVG, without a date."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return content.getvalue()
