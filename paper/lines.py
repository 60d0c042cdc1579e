"""Rows of tables: a cell holds runs that differ in nothing but the seed, or pairs of them."""

from collections.abc import Callable, Iterable, Mapping

import pandas

from dimat.experiment.cells import SETTING
from dimat.tasks.task import Metric
from paper.comparisons import Comparison
from paper.intervals import spread
from paper.measured import placed
from paper.metrics import unit_of_differences, with_unit

Text = Callable[[pandas.Series], str]
"""What a cell says of its values, one for each seed."""
TextOfMetric = Callable[[pandas.Series, Metric], str]
"""The same of values of the primary metric, whichever it is."""


def lines(
    labels: pandas.DataFrame,
    values: pandas.DataFrame,
    compared: Iterable[Comparison],
    metrics: Iterable[str],
    texts: Mapping[str, Text],
) -> pandas.DataFrame:
    """A row for each setting and method.

    ``labels`` and ``values`` are of runs by id. Columns ``metrics`` of values are of the primary metric, and
    shown as mean and deviation; ``texts`` say how others are.
    """
    blocks = []
    for each in compared:
        rows = placed(labels.loc[list(each.runs)], each.agents).merge(values, left_on="run", right_index=True)
        blocks.append(rows.assign(metric=pandas.Series([each.metric] * len(rows), rows.index)))
    return _joined(pandas.concat(blocks), ["rival"], with_unit, dict.fromkeys(metrics, spread), texts)


def paired_lines(
    pairs: Iterable[tuple[str, str, str]],
    labels: pandas.DataFrame,
    values: pandas.DataFrame,
    metrics: Mapping[str, Metric],
    text: TextOfMetric,
) -> pandas.DataFrame:
    """A row for each setting, method and what it is compared with: differences of pairs of runs of one seed.

    ``pairs`` name a run, the other that is subtracted, and the one whose setting they are in.
    """
    own, other, where = zip(*pairs, strict=True)
    rows = labels.loc[list(where), SETTING].reset_index(drop=True)
    rows["metric"] = [metrics[id] for id in own]
    rows["rival"] = labels.rival[list(own)].to_numpy()
    rows["minus"] = labels.rival[list(other)].to_numpy()
    rows["seed"] = labels.seed[list(own)].to_numpy()
    differences = values.loc[list(own)].to_numpy() - values.loc[list(other)].to_numpy()
    rows[values.columns] = differences
    of_metrics = dict.fromkeys(values.columns, text)
    return _joined(rows, ["rival", "minus"], unit_of_differences, of_metrics, {})


def _joined(
    rows: pandas.DataFrame,
    keys: list[str],
    unit: Callable[[Metric], str],
    of_metrics: Mapping[str, TextOfMetric],
    texts: Mapping[str, Text],
) -> pandas.DataFrame:
    """One row for each distinct metric, setting and value of ``keys``."""
    names, found = ["metric", *SETTING, *keys], []
    for place, here in rows.groupby(names, sort=False):
        metric = here.metric.iloc[0]
        found.append(
            dict(zip(names, place, strict=True))
            | {"metric": unit(metric), "seeds": here.seed.nunique()}
            | {name: text(here[name], metric) for name, text in of_metrics.items()}
            | {name: text(here[name]) for name, text in texts.items()}
        )
    return pandas.DataFrame(found).rename(columns={"rival": "method"})
