"""Methods against each other: accuracy, and what it costs in gradient steps, bytes, messages and time."""

from collections.abc import Mapping

import numpy
import pandas

from dimat.communication.links import Links
from paper.data import RIVAL, SETTING, rival_label
from paper.intervals import starred

MEBIBYTE = 2**20
COSTS = {"steps": "gradient_steps", "messages": "messages_sent"}
KEYS = [*SETTING, *RIVAL, "seed", "round"]
REFERENCE = "DIMAT"


def costs_by_round(records: pandas.DataFrame, links: Links | None = None) -> pandas.DataFrame:
    """For each run and round, right after the merge, means over agents of accuracy in percent and of costs.

    Costs add up from the first merge on: gradient steps, messages and MiB sent by an agent. With ``links``,
    ``simulated`` are the seconds that the slowest agent needs. Columns: the settings, `RIVAL`, run, seed,
    round, accuracy, steps, messages, mebibytes.
    """
    rows = records[records.stage.isin(["start", "merged"]) & records.agent.notna()]
    metric = rows.metric.where(~rows.metric.str.startswith("bytes_sent_"), "bytes")
    wide = (
        rows.assign(metric=metric)
        .groupby([*KEYS, "run", "agent", "metric"], sort=False)
        .value.sum()
        .unstack("metric")
        .reindex(columns=["test_accuracy", *COSTS.values(), "bytes"])
        .fillna(0.0)
    )
    found = pandas.DataFrame(
        {
            "accuracy": 100 * wide.test_accuracy,
            **{name: wide[metric] for name, metric in COSTS.items()},
            "mebibytes": wide.bytes / MEBIBYTE,
        }
    )
    by_run = [*KEYS, "run"]
    means = found.groupby(by_run, sort=False).mean()
    if links is not None:
        seconds = links.seconds(wide.gradient_steps, wide.messages_sent, wide.bytes)
        means["simulated"] = seconds.groupby(by_run, sort=False).max()
    return means.reset_index()


def summaries(costs: pandas.DataFrame) -> pandas.DataFrame:
    """For each run: accuracy at the first merge, after the first round, on average, in the end; and costs."""
    lines = []
    for keys, run in costs[costs["round"] > 0].groupby([*SETTING, *RIVAL, "seed", "run"], sort=False):
        run = run.sort_values("round")
        accuracy = run.accuracy.to_numpy()
        line = dict(zip([*SETTING, *RIVAL, "seed", "run"], keys, strict=True)) | {
            "first merge": accuracy[0],
            "first round": accuracy[min(1, len(accuracy) - 1)],
            "area": float(numpy.trapezoid(accuracy)) / (len(accuracy) - 1) if len(run) > 1 else accuracy[0],
            "final": accuracy[-1],
        }
        last = run.iloc[-1]
        lines.append(
            line | {name: last[name] for name in costs.columns if name not in [*KEYS, "run", "accuracy"]}
        )
    return pandas.DataFrame(lines)


ACCURACIES = ["first merge", "first round", "area", "final"]


def comparison_table(sums: pandas.DataFrame, about: Mapping[str, Mapping[str, float]]) -> pandas.DataFrame:
    """Each method in each setting: mean and standard deviation over seeds of accuracies; mean costs.

    ``about`` has the seconds and the learning rate of each run.
    """
    lines = []
    for keys, runs in sums.groupby([*SETTING, *RIVAL], sort=False):
        line = dict(zip([*SETTING, *RIVAL], keys, strict=True)) | {"seeds": runs.seed.nunique()}
        line["rate"] = ", ".join(sorted({f"{about[run]['learning_rate']:g}" for run in runs.run}))
        for name in ACCURACIES:
            spread = f" ± {runs[name].std(ddof=1):.1f}" if len(runs) > 1 else ""
            line[name] = f"{runs[name].mean():.1f}{spread}"
        line |= {
            "steps": f"{runs.steps.mean():.0f}",
            "MiB": f"{runs.mebibytes.mean():.3g}",
            "messages": f"{runs.messages.mean():.0f}",
            "seconds": f"{numpy.mean([about[run]['seconds'] for run in runs.run]):.1f}",
        }
        if "simulated" in runs:
            line["simulated s"] = f"{runs.simulated.mean():.3g}"
        lines.append(line)
    return pandas.DataFrame(lines)


def advantage_table(sums: pandas.DataFrame) -> pandas.DataFrame:
    """Each method minus DIMAT in the same setting and protocol, paired over seeds, in points of accuracy.

    Means with 95 % t-intervals; a star where the interval does not contain 0. DIMAT is the first that the
    study lists. The intervals are not widened for there being many of them.
    """
    lines = []
    for keys, runs in sums.groupby([*SETTING, "protocol"], sort=False):
        candidates = runs[runs.method.str.split(",").str[0] == REFERENCE]
        if candidates.empty:
            continue
        first = candidates.iloc[0]
        is_reference = (runs[RIVAL] == first[RIVAL]).all(axis=1)
        for rival, own in runs[~is_reference].groupby(RIVAL, sort=False):
            pairs = own.merge(runs[is_reference], on="seed", suffixes=("", "_reference"))
            if pairs.empty:
                continue
            line = dict(zip([*SETTING, "protocol"], keys, strict=True))
            line["method"] = rival_label(*rival[:3])
            line["minus"] = rival_label(first["method"], first["matching"], first["merge"])
            for name in ACCURACIES:
                line[name] = starred((pairs[name] - pairs[f"{name}_reference"]).to_numpy())
            lines.append(line)
    return pandas.DataFrame(lines)
