"""What was measured, by run: the primary metric and its costs. Means over agents; labels are joined last."""

from collections.abc import Collection, Iterable

import numpy
import pandas

from dimat.errors import InputError
from dimat.experiment.layout import Layout
from dimat.experiment.links import Links
from dimat.experiment.records import read_records, read_runs, spent
from dimat.methods import known_methods
from dimat.tasks.task import Metric

MEBIBYTE = 2**20
MERGES_SHOWN = (0, 1, 2, 4, 10)
"""Tables show the metric after so many merges (0: before the first), and after the last of each run."""
SUMMARIES = ["first merge", "first round", "area", "final"]


def read_shown(layout: Layout, ids: Iterable[str]) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """The runs of some ids, and their records."""
    runs, records = read_runs(layout.runs), read_records(layout.records)
    ids = list(ids)
    if missing := [id for id in ids if id not in runs.index]:
        raise InputError(f"{layout.runs}: run {missing[0]} is missing; make it with dimat train and collect")
    return runs.loc[ids], records[records.run.isin(ids)]


def by_round(
    runs: pandas.DataFrame, records: pandas.DataFrame, metric: Metric | None = None
) -> pandas.DataFrame:
    """A metric, in its unit, right after merges: a row for each run, a column for each round.

    Round 0 is before the first merge. Without a ``metric`` it is the primary one of each run.
    """
    if metric is None:
        names, scales = runs["metric.name"], runs["metric.scale"].astype(float)
    else:
        names, scales = (pandas.Series(each, runs.index) for each in (metric.name, metric.scale))
    chosen = records.metric == records.run.map(names)
    rows = records[chosen & records.stage.isin(["start", "merged"])]
    means = rows.groupby(["run", "round"]).value.mean().unstack("round").reindex(runs.index)
    return means.mul(scales, axis="index")


def values_by_round(
    runs: pandas.DataFrame, records: pandas.DataFrame, metric: Metric | None = None
) -> pandas.DataFrame:
    """The same as a column ``value``, with a row for each run and round."""
    return pandas.DataFrame({"value": by_round(runs, records, metric).stack()})


def placed(labels: pandas.DataFrame, agents: int) -> pandas.DataFrame:
    """Labels with the column ``run``; what ignores graph or partition is in every setting it is compared in.

    Where nobody communicates over a partition, or at all, the graph is empty.

    ``labels`` are of runs of one comparison; ``agents`` is its number of agents.
    """
    rows = labels.rename_axis("run").reset_index()
    full, partial = rows[rows.graph != ""], rows[rows.graph == ""]
    blocks = []
    for (graph, partition), here in full.groupby(["graph", "partition"], sort=False):
        fitting = partial[partial.partition.isin(["", partition])]
        blocks += [here, fitting.assign(partition=str(partition), graph=str(graph), agents=agents)]
    alone = partial[~partial.partition.isin(["", *full.partition])]
    for partition, here in alone.groupby("partition", sort=False):
        blocks += [here, partial[partial.partition == ""].assign(partition=str(partition), agents=agents)]
    blocks = blocks or [partial]
    return pandas.concat(blocks, ignore_index=True)


def by_merge(rounds: pandas.DataFrame, first: int = 0) -> pandas.DataFrame:
    """The merges that tables show, from the ``first`` on, as columns with names."""
    lasts = {int(row.dropna().index[-1]) for _, row in rounds.iterrows()}  # some runs may have fewer rounds
    shown = sorted({merge for merge in MERGES_SHOWN if first <= merge <= max(lasts)} | lasts)
    return rounds.reindex(columns=shown).rename(columns="merge {}".format)


def summaries(rounds: pandas.DataFrame) -> pandas.DataFrame:
    """For each run: the metric at its first merge, after its first round, on average, and in the end."""

    def summary(values: pandas.Series) -> list[float]:
        found = values.loc[1:].dropna().to_numpy()
        area = numpy.trapezoid(found) / (len(found) - 1) if len(found) > 1 else found[0]
        return [found[0], found[min(1, len(found) - 1)], area, found[-1]]

    return pandas.DataFrame([summary(row) for _, row in rounds.iterrows()], rounds.index, SUMMARIES)


def in_turns(runs: pandas.DataFrame) -> set[str]:
    """The ids of those of ``runs`` whose agents work one at a time."""
    return set(runs.index[[known_methods[name].takes_turns for name in runs["method.name"]]])


def costs(
    records: pandas.DataFrame, links: Links | None = None, in_turns: Collection[str] = ()
) -> pandas.DataFrame:
    """For each run and round, until right after the merge: what an agent has done and sent since the start.

    Columns ``steps``, ``messages`` and ``MiB``; with ``links``, ``simulated s`` are the seconds that the
    slowest agent needs, or all together where they work ``in_turns``.
    """
    wide = spent(records)
    found = wide.groupby(["run", "round"]).mean()
    found = pandas.DataFrame(
        {"steps": found.gradient_steps, "messages": found.messages_sent, "MiB": found.bytes / MEBIBYTE}
    )
    if links is not None:
        waited = wide.waited.fillna(wide.gradient_steps * links.wait)
        seconds = links.seconds(wide.gradient_steps, wide.messages_sent, wide.bytes, waited)
        by_round = seconds.groupby(["run", "round"])
        together = found.index.get_level_values("run").isin(list(in_turns))
        found["simulated s"] = by_round.sum().where(together, by_round.max())
    return found
