"""Rows of tables: a cell holds runs that differ in nothing but the seed, or pairs of them."""

from collections.abc import Callable, Iterable

import pandas

from dimat.experiment.cells import SETTING
from dimat.tasks.task import Metric
from paper.comparisons import Comparison
from paper.measured import placed
from paper.metrics import unit_of_differences, with_unit

Text = Callable[[pandas.Series], str]
"""What a cell says of its values, one for each seed."""


def lines(
    labels: pandas.DataFrame, values: pandas.DataFrame, compared: Iterable[Comparison], texts: dict[str, Text]
) -> pandas.DataFrame:
    """A row for each setting and method.

    ``labels`` and ``values`` are of runs by id; ``texts`` say which columns of values are shown, and how.
    """
    blocks = []
    for each in compared:
        rows = placed(labels.loc[list(each.runs)], each.agents).merge(values, left_on="run", right_index=True)
        blocks.append(rows.assign(metric=with_unit(each.metric)))
    return _joined(pandas.concat(blocks), ["metric", *SETTING, "rival"], texts)


def paired_lines(
    pairs: Iterable[tuple[str, str, str]],
    labels: pandas.DataFrame,
    values: pandas.DataFrame,
    metrics: dict[str, Metric],
    text: Text,
) -> pandas.DataFrame:
    """A row for each setting, method and what it is compared with: differences of pairs of runs of one seed.

    ``pairs`` name a run, the other that is subtracted, and the one whose setting they are in.
    """
    own, other, where = zip(*pairs, strict=True)
    rows = labels.loc[list(where), SETTING].reset_index(drop=True)
    rows["metric"] = [unit_of_differences(metrics[id]) for id in own]
    rows["rival"] = labels.rival[list(own)].to_numpy()
    rows["minus"] = labels.rival[list(other)].to_numpy()
    rows["seed"] = labels.seed[list(own)].to_numpy()
    differences = values.loc[list(own)].to_numpy() - values.loc[list(other)].to_numpy()
    rows[values.columns] = differences
    return _joined(rows, ["metric", *SETTING, "rival", "minus"], dict.fromkeys(values.columns, text))


def _joined(rows: pandas.DataFrame, keys: list[str], texts: dict[str, Text]) -> pandas.DataFrame:
    """One row for each distinct value of ``keys``."""
    found = [
        dict(zip(keys, names, strict=True))
        | {"seeds": here.seed.nunique()}
        | {name: text(here[name]) for name, text in texts.items()}
        for names, here in rows.groupby(keys, sort=False)
    ]
    return pandas.DataFrame(found).rename(columns={"rival": "method"})
