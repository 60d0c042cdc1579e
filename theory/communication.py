"""What a study's records say of bytes: counted where they are sent, against closed forms and each other."""

from collections.abc import Iterator

import pandas

from theory.checks import Row
from theory.gains import OWN
from theory.study import SETTING, study_row, with_titles

PER_MERGE = ("DIMAT", "WA", "WM")
"""Methods, by title, that send their network over every link once in a round."""
ONCE_A_ROUND = (*PER_MERGE, "variance-corrected WA", "no communication", "pooled training")
"""Methods that communicate once in a round, or never."""
PER_STEP = ("D-PSGD", "CDSGD", "CDMSGD", "quasi-global momentum")
"""Methods that send their parameters over every link at every gradient step."""
SINGLE = 4
"""Bytes of a parameter."""
LESS_THAN_A_BYTE = 0.5


def communication_rows(records: pandas.DataFrame, holonomy: pandas.DataFrame) -> Iterator[Row]:
    """Bytes of models against closed forms; and DIMAT's, with all that it sends, against each rival's.

    ``holonomy`` (see `theory.holonomy`) has the links of graphs and the sizes of networks.
    """
    sent = sent_by_run(records)
    yield from _closed_form_rows(with_closed_forms(sent, holonomy))
    for setting, rows in sent.groupby(SETTING, sort=False):
        own = rows[(rows.title == OWN) & (rows.matching == "")]
        rivals = rows[~rows.title.isin(ONCE_A_ROUND)]
        for merge, of_merge in own.groupby("merge", sort=False):
            most = float(of_merge["all"].max() / of_merge.agents.iloc[0])
            for (method, _), rival in rivals.groupby(["method", "merge"], sort=False):
                least = float(rival["all"].min() / rival.agents.iloc[0])
                said = ("communication", f"sends less than {method}", "bytes of an agent")
                yield study_row(*said, setting, merge, (most, most, most), least, strict=True)


def sent_by_run(records: pandas.DataFrame) -> pandas.DataFrame:
    """For each run, in the end: bytes of ``models`` and of ``all``, sent by all agents; merges and steps."""
    rows = records[(records.stage == "merged") & (records.graph != "")]
    last = rows[rows["round"] == rows.groupby("run")["round"].transform("max")]
    kinds = last[last.metric.str.startswith("bytes_sent_")]
    by_run = [*SETTING, "method", "matching", "merge", "seed", "run"]
    found = kinds.groupby([*by_run, "round"], sort=False).value.sum().rename("all").reset_index()
    models = kinds[kinds.metric == "bytes_sent_models"].groupby("run").value.sum()
    steps = last[last.metric == "gradient_steps"].groupby("run").value.mean()
    before = records[(records.stage == "start") & (records.metric == "gradient_steps")]
    first = before.groupby("run").value.mean().reindex(steps.index, fill_value=0.0)
    return with_titles(found).assign(
        models=found.run.map(models).fillna(0.0), steps=found.run.map(steps - first), merges=found["round"]
    )


def with_closed_forms(sent: pandas.DataFrame, holonomy: pandas.DataFrame) -> pandas.DataFrame:
    """The runs of ``sent`` whose bytes of models have a closed form, in words and as ``expected``."""
    sizes = holonomy[holonomy.links.notna()].drop_duplicates(["data", "model", "agents", "graph"])
    known = sent.merge(sizes[["data", "model", "agents", "graph", "links", "size", "network_bytes"]])
    merging = known[known.title.isin(PER_MERGE)]
    stepping = known[known.title.isin(PER_STEP) & ~known.method.str.contains("final merge")]
    of_merges = merging.links * merging.network_bytes * merging.merges
    of_steps = stepping.links * stepping["size"] * SINGLE * stepping.steps
    return pandas.concat(
        [
            merging.assign(words="links x network x merges", expected=of_merges),
            stepping.assign(words="links x parameters x steps", expected=of_steps),
        ],
        ignore_index=True,
    )


def _closed_form_rows(runs: pandas.DataFrame) -> Iterator[Row]:
    """The largest difference of the counted bytes of models from their closed form, over runs."""
    apart = (runs.models - runs.expected).abs()
    for (*setting, title, words), rows in runs.groupby([*SETTING, "title", "words"], sort=False):
        most = float(apart[rows.index].max())
        said = ("bytes", f"{title} sends {words}", "|bytes - closed form|")
        yield study_row(*said, tuple(setting), f"{len(rows)} runs", (most, most, most), LESS_THAN_A_BYTE)
