"""What a study's records say of bytes: counted where they are sent, against closed forms and each other."""

from collections.abc import Iterator
from typing import Any

import pandas

from dimat.experiment.cells import SETTING, without
from dimat.methods import known_methods
from theory.claims.study import communicating, study_row
from theory.rows import Row, exactly

SINGLE = 4
"""Bytes of a parameter."""
LESS_THAN_A_BYTE = 0.5
IRRELEVANT = ("partition", "method", "matching", "calibration", "training", "protocol", "tuning")
"""Axes that neither links nor sizes of networks depend on."""


def communication_rows(
    runs: pandas.DataFrame, records: pandas.DataFrame, holonomy: pandas.DataFrame
) -> Iterator[Row]:
    """Bytes of models against closed forms; and DIMAT's, with all that it sends, against each rival's.

    Rivals communicate at gradient steps. ``holonomy`` (see `theory.gap.holonomy`) has the links of graphs and
    the sizes of networks.
    """
    labels = communicating(runs)
    sent = labels.join(sent_by_run(records))
    yield from _closed_form_rows(with_closed_forms(runs.loc[labels.index], sent, holonomy))
    when = runs["method.name"].map({name: each.communicates for name, each in known_methods.items()})
    for setting, here in sent.groupby(SETTING, sort=False):
        agents = here.agents.iloc[0]
        at_steps = here[when[here.index] == "step"]
        for _, own in here[here.published].groupby("averaging", sort=False):
            most = float(own["all"].max() / agents)
            for name, rival in at_steps.groupby("rival", sort=False):
                least = float(rival["all"].min() / agents)
                said = ("communication", f"sends less than {name}", "bytes of an agent")
                yield study_row(*said, setting, own.how.iloc[0], exactly(most), least, strict=True)


def sent_by_run(records: pandas.DataFrame) -> pandas.DataFrame:
    """For each run, in the end: bytes of ``models`` and of ``all``, sent by all agents; merges and steps."""
    rows = records[records.stage == "merged"]
    merges = rows.groupby("run")["round"].max()
    last = rows[rows["round"] == rows.run.map(merges)]
    kinds = last[last.metric.str.startswith("bytes_sent_")]
    models = kinds[kinds.metric == "bytes_sent_models"]
    steps = last[last.metric == "gradient_steps"].groupby("run").value.mean()
    before = records[(records.stage == "start") & (records.metric == "gradient_steps")]
    first = before.groupby("run").value.mean().reindex(steps.index, fill_value=0.0)
    found = {
        "all": kinds.groupby("run").value.sum(),
        "models": models.groupby("run").value.sum(),
        "steps": steps - first,
    }
    return pandas.DataFrame(found, index=merges.index).fillna(0.0).assign(merges=merges)


def with_closed_forms(
    runs: pandas.DataFrame, sent: pandas.DataFrame, holonomy: pandas.DataFrame
) -> pandas.DataFrame:
    """The runs of ``sent`` whose bytes of models have a closed form, in words and as ``expected``.

    The methods declare it (`Method.every_link`); links must not fail.
    """
    sized = without(runs, *IRRELEVANT).map(str)
    whole = holonomy[holonomy.links.notna()]
    sizes = whole.groupby(whole.run.map(sized))[["links", "size", "network_bytes"]].first()
    declared = [id for id, run in zip(runs.index, runs.to_dict("records"), strict=True) if _has_form(run)]
    of_runs = sizes.reindex(sized).set_axis(sized.index, axis=0)
    known = sent.loc[declared].join(of_runs).dropna(subset=["links"])
    by_step = [known_methods[name].communicates == "step" for name in runs["method.name"][known.index]]
    of_steps = known.links * known["size"] * SINGLE * known.steps
    of_merges = known.links * known.network_bytes * known.merges
    return known.assign(
        words=["links x parameters x steps" if each else "links x network x merges" for each in by_step],
        expected=of_steps.where(by_step, of_merges),
    )


def _has_form(run: dict[Any, str]) -> bool:
    fails = {run["graph.link_failures"], run["graph.agent_failures"]} != {"0.0"}
    fails |= bool(run.get("graph.churn.name") or run.get("graph.bursts.share"))
    return known_methods[run["method.name"]].every_link and not fails


def _closed_form_rows(runs: pandas.DataFrame) -> Iterator[Row]:
    """The largest difference of the counted bytes of models from their closed form, over runs."""
    apart = (runs.models - runs.expected).abs()
    for (*setting, title, words), rows in runs.groupby([*SETTING, "method", "words"], sort=False):
        most = float(apart[rows.index].max())
        said = ("bytes", f"{title} sends {words}", "|bytes - closed form|")
        yield study_row(*said, tuple(setting), f"{len(rows)} runs", exactly(most), LESS_THAN_A_BYTE)
