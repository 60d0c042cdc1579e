"""How lines and points look: lines the same in all figures of a study, and no two alike.

Every line and every series of points has three features, and there are a few of each. What is wanted of them
says something (the colour is the method). Where that is taken, or there is no more of a feature, the next
combination that is free is used. There are 14 x 4 x 10 = 560 looks of lines, and 14 x 10 x 2 = 280 of points;
beyond that, they begin again.
"""

import itertools
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from dimat.experiment.config import Study
from dimat.experiment.runs import Run
from dimat.merging.matching.options import Matching
from dimat.methods import known_methods
from paper.comparisons import distinct
from paper.style import COLOURS, MARKERS

LINE_STYLES = ["-", "--", ":", "-."]
LINE_MARKERS = ["", "o", "^", "s", "D", "v", "P", "X", "*", "<"]
FILLS = ["full", "none"]


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
    wanted = {
        (_way(run), run.calibration, _options(run)): (
            ways.index(_way(run)),
            styles.index(run.calibration) if run.calibration else 0,
            places[run.method.name].index(_options(run)),
        )
        for run in runs.values()
    }
    features = (COLOURS, LINE_STYLES, LINE_MARKERS)
    found = dict(zip(wanted, told_apart(wanted.values(), features), strict=True))
    names = ("color", "linestyle", "marker")
    return {
        id: dict(zip(names, found[_way(run), run.calibration, _options(run)], strict=True))
        for id, run in runs.items()
    }


def point_looks(wanted: Iterable[tuple[int, int]]) -> list[dict[str, Any]]:
    """Looks of series of points, from the places of the colour and of the marker that are wanted of each."""
    found = told_apart(((colour, marker, 0) for colour, marker in wanted), (COLOURS, MARKERS, FILLS))
    names = ("color", "marker", "fillstyle")
    return [dict(zip(names, each, strict=True)) | {"linestyle": ""} for each in found]


def told_apart(wanted: Iterable[tuple[int, ...]], features: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """For each of ``wanted``, places in ``features``: a value of each, no combination twice if it can be."""
    sizes = [len(values) for values in features]
    steps = list(itertools.product(*map(range, sizes)))  # the first feature is kept as long as it can be
    taken: set[tuple[int, ...]] = set()
    found = []
    for places in wanted:
        if len(taken) == len(steps):
            taken.clear()
        others = (_moved(places, step, sizes) for step in steps)
        look = next(look for look in others if look not in taken)
        taken.add(look)
        found.append(tuple(values[place] for place, values in zip(look, features, strict=True)))
    return found


def _moved(places: Iterable[int], step: Iterable[int], sizes: Iterable[int]) -> tuple[int, ...]:
    return tuple((place + more) % size for place, more, size in zip(places, step, sizes, strict=True))


def _way(run: Run) -> tuple[str, Matching | None]:
    return run.method.name, run.matching


def _options(run: Run) -> Hashable:
    """All that differs between lines of a figure and is no colour or line style."""
    return run.method, run.training, run.tuning, run.protocol
