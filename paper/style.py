"""How figures look, and how they are written: the same bytes for the same content."""

import io

import matplotlib

matplotlib.rcdefaults()  # whatever the user's matplotlibrc says
matplotlib.use("svg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

WIDTH = 7.0
"""Inches; the text width of the paper."""
COLOURS = [
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#882255"),
    *("#999933", "#332288", "#44aa99", "#aa4499", "#661100", "#777777"),
]
"""In order; they stay apart for colour-blind readers (Okabe and Ito; Tol)."""
MARKERS = "osD^vPX*<>"

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


FORMATS = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
"""Every figure is written in each of these; what they would say of when and with what is left out."""
DOTS = 200
"""Of an inch of a PNG."""


def as_file(figure: Figure, ending: str) -> bytes:
    """The figure in one of `FORMATS`; the same bytes every time."""
    content = io.BytesIO()
    figure.savefig(content, format=ending, metadata=FORMATS[ending], dpi=DOTS)
    return content.getvalue()
