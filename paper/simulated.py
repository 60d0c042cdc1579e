"""What `dimat simulate` has written, read for figures and tables, and how controllers look in figures."""

import io
from typing import Any

import numpy
import pandas

from dimat.communication.congestion.bottleneck import Bottleneck
from dimat.experiment.layout import Layout
from dimat.tasks.task import Metric
from paper.findings import reached
from paper.shown import made
from paper.style import COLOURS, MARKERS

LINE_STYLES = ("-", "--", ":", "-.")
ROUNDING = 5e-4
"""Relative differences between seeds that three digits do not show."""


def read_simulated(layout: Layout) -> pandas.DataFrame:
    """A row for each run, controller, spread and round; see `dimat.experiment.simulated.SIMULATED`."""
    return pandas.read_csv(io.BytesIO(made(layout.simulated, "simulate")))


def read_at_rest(layout: Layout) -> pandas.DataFrame:
    """A row for each controller, seed, spread and number of flows; see `RESTING` there."""
    return pandas.read_csv(io.BytesIO(made(layout.at_rest, "simulate")))


def mean_said(values: pandas.Series, unit: str = "") -> str:
    """The mean over seeds, and its interval if seeds make a difference."""
    found = values.to_numpy()
    same = numpy.ptp(found) <= ROUNDING * abs(found).max()
    return reached(found[:1] if same else found, Metric("", "", unit))


def controller_looks(bottleneck: Bottleneck) -> list[dict[str, Any]]:
    """Of each controller the look of its line, with its label: later ones are thinner, and hide none."""
    colours = [colour for colour in COLOURS if colour != "#000000"]  # that of what is predicted
    return [
        {
            "color": colours[place % len(colours)],
            "linestyle": LINE_STYLES[place % len(LINE_STYLES)],
            "marker": MARKERS[place % len(MARKERS)],
            "fillstyle": "none",
            "linewidth": max(1.0, 2.2 - 0.3 * place),
            "markersize": max(3.0, 7.0 - place),
            "label": controller.label(),
        }
        for place, controller in enumerate(bottleneck.controller)
    ]
