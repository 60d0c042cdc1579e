"""How the line of a run looks: the same in all figures of a study."""

from collections.abc import Hashable
from typing import Any

from dimat.experiment.config import Run, Study
from dimat.merging.matching.options import Matching
from dimat.methods import known_methods
from paper.comparisons import distinct
from paper.style import COLOURS

LINE_STYLES = ["-", "--", ":", "-."]
LINE_MARKERS = ["", "o", "^", "s", "D", "v"]


def looks_of(study: Study) -> dict[str, dict[str, Any]]:
    """By id of a run: colour by method and matching, line style by calibration, marker by all else.

    Methods come in the order in which they are known, and before their other ways of matching.
    """
    runs = study.runs
    order = {name: place for place, name in enumerate(known_methods)}
    ways = sorted(distinct(_way(run) for run in runs.values()), key=lambda way: order[way[0]])
    firsts = {name: way for name, way in reversed([(way[0], way) for way in ways])}
    ways.sort(key=lambda way: firsts[way[0]] != way)  # the first of each method, then others
    styles = distinct(run.calibration for run in runs.values() if run.calibration)
    options: dict[str, list[Hashable]] = {}
    for run in runs.values():
        options.setdefault(run.method.name, []).append(_options(run))
    places = {name: distinct(values) for name, values in options.items()}
    return {
        id: {
            "color": _turn(COLOURS, ways.index(_way(run))),
            "linestyle": _turn(LINE_STYLES, styles.index(run.calibration) if run.calibration else 0),
            "marker": _turn(LINE_MARKERS, places[run.method.name].index(_options(run))),
        }
        for id, run in runs.items()
    }


def _way(run: Run) -> tuple[str, Matching | None]:
    return run.method.name, run.matching


def _options(run: Run) -> Hashable:
    """All that differs between lines of a figure and is no colour or line style."""
    return run.method, run.training, run.tuning, run.protocol


def _turn(values: list[str], place: int) -> str:
    return values[place % len(values)]
