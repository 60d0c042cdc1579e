"""What came out, in sentences: means over seeds with their 95 % intervals, and differences paired by seed.

Where differences of several settings are counted, their intervals are corrected for the number of these.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy
import pandas

from dimat.experiment.runs import Run
from dimat.methods.dimat import Dimat
from dimat.tasks.task import Metric
from paper.comparisons import by_experiment, distinct, span, unmatched
from paper.intervals import half_width
from paper.metrics import number_form, opening
from theory.claims.claim import primaries
from theory.claims.holm import LEVEL, risks
from theory.claims.paired import p_value

Values = pandas.Series | numpy.ndarray
"""One for each seed."""


@dataclass(frozen=True)
class Pair:
    """What two lines reach in one setting: a row for each seed that both have, a column for each round."""

    own: str
    other: str
    ours: pandas.DataFrame
    theirs: pandas.DataFrame
    rank: str = ""
    """Whether it decides a claim, in a sentence."""

    @classmethod
    def of(
        cls, own: str, other: str, ours: pandas.DataFrame, theirs: pandas.DataFrame, rank: str = ""
    ) -> Self | None:
        """The pair on the seeds and rounds that both have; `None` if there are none."""
        ours, theirs = ours.dropna(axis="columns"), theirs.dropna(axis="columns")
        seeds, rounds = ours.index.intersection(theirs.index), ours.columns.intersection(theirs.columns)
        if seeds.empty or rounds.empty:
            return None
        return cls(own, other, ours.loc[seeds, rounds], theirs.loc[seeds, rounds], rank)

    @property
    def last(self) -> int:
        """The last round that both have."""
        return int(self.ours.columns.max())

    def differences(self, round: int) -> pandas.Series:
        """Ours minus theirs, by seed."""
        return self.ours[round] - self.theirs[round]

    def sides(self, round: int, metric: Metric, risk: float) -> int:
        """1 if ours is better, -1 if worse, beyond the interval if there is one; else 0."""
        found = self.differences(round)
        gain, half = metric.gain(float(found.mean())), half_width(found.to_numpy(), risk)
        return 0 if abs(gain) <= half or gain == 0 else (1 if gain > 0 else -1)

    def said(self, round: int, metric: Metric, risk: float) -> str:
        """Both, and their difference."""
        ours, theirs = reached(self.ours[round], metric), reached(self.theirs[round], metric)
        return f"{ours} against {theirs} (difference {apart(self.differences(round), metric, risk)})"


def reached(values: Values, metric: Metric) -> str:
    """The mean over seeds, in its unit, and its interval: 61.2 % [58.0, 64.4]."""
    unit = f" {metric.unit}" if metric.unit else ""
    return _with_interval(values, metric, sign="", unit=unit)


def apart(differences: Values, metric: Metric, risk: float = LEVEL) -> str:
    """The mean difference and its interval: +0.1 [-0.4, +0.6]."""
    return _with_interval(differences, metric, sign="+", unit="", risk=risk)


def _with_interval(values: Values, metric: Metric, sign: str, unit: str, risk: float = LEVEL) -> str:
    form = number_form(metric, sign)
    found = numpy.asarray(values, float)
    mean, half = found.mean(), half_width(found, risk)
    interval = f" [{mean - half:{form}}, {mean + half:{form}}]" if len(found) > 1 else ""
    return f"{mean:{form}}{unit}{interval}"


def over_seeds(counts: Iterable[int]) -> str:
    """What brackets are, and of how many seeds."""
    found = set(counts)
    return (
        "One seed, so no intervals."
        if found == {1}
        else f"Brackets are 95 % intervals over {span(found)} seeds."
    )


def quoted(label: str) -> str:
    """A label in a sentence."""
    return f"“{label}”" if "," in label else label


def merge_said(round: int) -> str:
    """When a round's merge was, in words."""
    return {0: "before the first merge", 1: "after the first merge"}.get(round, f"after merge {round}")


def setting_said(graph: object, partition: object) -> str:
    """A setting in a sentence."""
    return ", ".join(str(part) for part in (graph, partition) if part)


Lines = dict[str, pandas.DataFrame]
"""Values of lines by label: a row for each seed, a column for each round."""
RowsAndLines = tuple[pandas.DataFrame, Lines]
"""The rows of a setting, and the values of its lines."""


def by_setting(rows: pandas.DataFrame, value: str = "value") -> dict[str, RowsAndLines]:
    """For each setting the rows, and the values of its lines.

    ``rows`` have the columns graph, partition, rival, seed, round and ``value``.
    """
    return {
        setting_said(graph, partition): (
            here,
            {
                str(rival): line.set_index(["seed", "round"])[value].unstack("round")
                for rival, line in here.groupby("rival", sort=False)
            },
        )
        for (graph, partition), here in rows.groupby(["graph", "partition"], sort=False)
    }


def first_and_last(settings: Mapping[str, RowsAndLines]) -> dict[str, RowsAndLines]:
    """Of many settings the first and the last, in which what studies vary differs most; of one, that one."""
    return {where: settings[where] for where in distinct([next(iter(settings)), list(settings)[-1]])}


def in_the_end(lines: Lines) -> dict[str, pandas.Series]:
    """The values of each line after its last round, by seed."""
    return {label: _end(line) for label, line in lines.items()}


def _end(line: pandas.DataFrame) -> pandas.Series:
    return line.dropna(axis="columns").iloc[:, -1]


def reference(lines: Lines, here: pandas.DataFrame, runs: Mapping[str, Run], metric: Metric) -> str:
    """The line that others are compared with: the first of DIMAT, or that which is best in the end."""
    of_dimat = [rival for rival, id in zip(here.rival, here.run, strict=True) if _is_dimat(runs[id])]
    return of_dimat[0] if of_dimat else _best(lines, metric)


def rival_of(
    own: str, lines: Lines, here: pandas.DataFrame, runs: Mapping[str, Run], metric: Metric
) -> str | None:
    """What ``own`` is compared with: the same without matching, or else the best of the others in the end."""
    run = runs[here.run[here.rival == own].iloc[0]]
    if _is_dimat(run):
        averaging = by_experiment(runs).get(unmatched(run).id)
        if averaging in set(here.run):
            return here.rival[here.run == averaging].iloc[0]
    others = {label: line for label, line in lines.items() if label != own}
    return _best(others, metric) if others else None


def _is_dimat(run: Run) -> bool:
    return isinstance(run.method, Dimat)


def _best(lines: Lines, metric: Metric) -> str:
    return max(lines, key=lambda label: metric.gain(_last(lines[label])))


def _last(line: pandas.DataFrame) -> float:
    """The mean over seeds after the last round."""
    return float(_end(line).mean())


def of_lines(rows: pandas.DataFrame, runs: Mapping[str, Run], metric: Metric) -> str:
    """How the reference does against its rival, in the settings that have both; or alone."""
    pairs: dict[str, Pair] = {}
    alone: dict[str, tuple[str, pandas.DataFrame]] = {}
    for where, (here, lines) in by_setting(rows).items():
        own = reference(lines, here, runs, metric)
        alone[where] = own, lines[own]
        other = rival_of(own, lines, here, runs, metric)
        if other is not None:
            names, values = (quoted(own), quoted(other)), (lines[own], lines[other])
            first, second = (runs[here.run[here.rival == rival].iloc[0]] for rival in (own, other))
            pair = Pair.of(*names, *values, _rank(first, second, metric))
            if pair is not None and pair.last > 0:
                pairs[where] = pair
    return of_pairs(pairs, metric, first=1) if pairs else of_one(alone, metric)


def _rank(own: Run, other: Run, metric: Metric) -> str:
    """Which claims, on how well DIMAT does, their comparison decides, as a further sentence."""
    if not _is_dimat(own) or metric != own.task.metric:
        return ""
    parameters = own.parameters(), other.parameters()
    claims = [id for id, primary in primaries().items() if primary.joins(*parameters)]
    said = f"primary for {' and '.join(claims)}" if claims else "secondary"
    return f" This comparison is {said}."


def of_pairs(pairs: Mapping[str, Pair], metric: Metric, first: int) -> str:
    """Sentences on pairs of lines by setting: of the two lines that most settings have.

    Of several settings, in how many which is better, and the numbers of that where they differ most at
    ``first``, the round that is spoken of beside the last.
    """
    names, _ = Counter((pair.own, pair.other) for pair in pairs.values()).most_common(1)[0]
    found = {where: pair for where, pair in pairs.items() if (pair.own, pair.other) == names}
    own, other = opening(names[0]), names[1]
    seeds = over_seeds(len(pair.ours) for pair in found.values())
    if len(found) == 1:
        (pair,) = found.values()
        times = distinct([first, pair.last])
        said = [f"{merge_said(time)} {pair.said(time, metric, LEVEL)}" for time in times]
        return f"{own} against {other}: {'; '.join(said)}. {seeds}{pair.rank}"
    several = all(len(pair.ours) > 1 for pair in found.values())
    beyond = " (where the interval of the difference leaves out 0)" if several else ""
    if several:
        seeds = f"{seeds[:-1]}; those of differences are corrected for {len(found)} settings (Holm)."
    lasts = {where: pair.last for where, pair in found.items()}
    most = max(found, key=lambda where: abs(float(found[where].differences(first).mean())))
    counts: list[str] = []
    of_most: dict[int, float] = {}
    for title, rounds in {merge_said(first): dict.fromkeys(found, first), "after the last": lasts}.items():
        risk = _risks(found, rounds) if several else dict.fromkeys(found, LEVEL)
        sides = [pair.sides(rounds[where], metric, risk[where]) for where, pair in found.items()]
        counts.append(f"{title} better in {sides.count(1)} and worse in {sides.count(-1)}")
        of_most.setdefault(rounds[most], risk[most])
    counts = counts if max(lasts.values()) > first else counts[:1]
    said = [f"{merge_said(time)} {found[most].said(time, metric, risk)}" for time, risk in of_most.items()]
    ranks = "".join(distinct(pair.rank for pair in found.values()))
    return (
        f"{own} against {other} in {len(found)} settings: {', '.join(counts)}{beyond}. Where they differ "
        f"most ({most}): {'; '.join(said)}. {seeds}{ranks}"
    )


def _risks(pairs: Mapping[str, Pair], rounds: Mapping[str, int]) -> dict[str, float]:
    """Of missing the difference in each setting after one of its ``rounds``, by Holm's correction."""
    p = [p_value(pair.differences(rounds[where]).to_numpy()) for where, pair in pairs.items()]
    return dict(zip(pairs, risks(numpy.array(p)).tolist(), strict=True))


def of_one(lines: Mapping[str, tuple[str, pandas.DataFrame]], metric: Metric) -> str:
    """Sentences on one line in each setting: from the worst to the best in the end."""

    def gain(where: str) -> float:
        return metric.gain(_last(lines[where][1]))

    places = distinct([min(lines, key=gain), max(lines, key=gain)])
    said = []
    for where in places:
        label, values = lines[where]
        values = values.dropna(axis="columns")
        times = distinct([int(values.columns[0]), int(values.columns[-1])])
        numbers = ", ".join(f"{reached(values[time], metric)} {merge_said(time)}" for time in times)
        place = f" in {where}" if len(lines) > 1 and where else ""
        said.append(f"{quoted(label)}{place}: {numbers}")
    kind = f"From the worst to the best of {len(lines)} settings: " if len(places) > 1 else ""
    return f"{kind}{'; '.join(said)}. {over_seeds(len(lines[where][1]) for where in places)}"
