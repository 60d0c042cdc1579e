"""How figures look, and how they are written: the same bytes for the same content."""

import io
from collections.abc import Iterable

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.figure import Figure

WIDTH = 7.0
"""Inches; the text width of the paper."""

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
MARKERS = ["", "o", "^", "s"]
"""Markers of others: the second time round the colours, and so on."""

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


def inks(rivals: Iterable[tuple[str, str]]) -> dict[tuple[str, str], dict[str, str]]:
    """Colour and marker of each (method, matching): fixed for known ones, else by its place among the others.

    A method whose optimizer is said has the colour of its title, if it is the only one of that title. The
    order of ``rivals`` does not matter, so that figures of the same ones agree.
    """
    rivals = sorted(set(rivals))
    titles = {rival: (rival[0].split(", ")[0], rival[1]) for rival in rivals}
    alone = {rival: list(titles.values()).count(title) == 1 for rival, title in titles.items()}
    found, place = {}, 0
    for rival in rivals:
        known = METHOD_COLOURS.get(titles[rival] if alone[rival] else rival)
        if known:
            found[rival] = {"color": known, "marker": ""}
        else:
            turn, colour = divmod(place, len(OTHER_COLOURS))
            found[rival] = {"color": OTHER_COLOURS[colour], "marker": MARKERS[turn % len(MARKERS)]}
            place += 1
    return found


def as_svg(figure: Figure) -> bytes:
    """The figure as SVG, without a date."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return content.getvalue()
