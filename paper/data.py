"""Records as data frames, summarized over agents and seeds."""

import io
from pathlib import Path

import pandas

from dimat.io.files import read_checked

SETTING = ["data", "model", "agents", "partition", "graph"]
"""Columns that say in which setting methods are compared."""
RIVAL = ["method", "matching", "merge", "protocol"]
"""Columns that tell rivals in one setting apart: how neurons are matched, how networks are averaged, and by
which rules they are compared."""
TEXT = [*SETTING[:2], *SETTING[3:], *RIVAL, "run", "stage", "layer", "metric"]


def read_records(path: Path) -> pandas.DataFrame:
    """The joined records of a study; what a method ignores is an empty text."""
    content = io.BytesIO(read_checked(path))
    return pandas.read_csv(content, dtype=dict.fromkeys(TEXT, str)).fillna(dict.fromkeys(TEXT, ""))


def merged_accuracy(records: pandas.DataFrame) -> pandas.DataFrame:
    """Test accuracy in percent, mean over agents, for each run and round, just after the merge.

    Round 0 is before the first merge. Columns: the settings, `RIVAL`, seed, round, accuracy.
    """
    rows = records[(records.metric == "test_accuracy") & records.stage.isin(["start", "merged"])]
    means = rows.groupby([*SETTING, *RIVAL, "seed", "round"], sort=False).value.mean() * 100
    return means.rename("accuracy").reset_index()


def in_every_setting(accuracy: pandas.DataFrame, agents: int) -> pandas.DataFrame:
    """Repeat the rows of methods that ignore graph or partition in every setting they are compared in.

    ``accuracy`` holds the runs on one data set with one model; ``agents`` is the number of agents of the
    methods that communicate.
    """
    full = accuracy[(accuracy.graph != "") & (accuracy.agents == agents)]
    partial = accuracy[accuracy.graph == ""]
    blocks = []
    for (graph, partition), rows in full.groupby(["graph", "partition"], sort=False):
        fitting = partial[partial.partition.isin(["", partition])]
        blocks += [rows, fitting.assign(partition=partition, graph=graph, agents=agents)]
    return pandas.concat(blocks, ignore_index=True)


def matching_by_round(records: pandas.DataFrame) -> pandas.DataFrame:
    """What is recorded of matchings, mean over layers, for each run and round.

    Columns: the settings, `RIVAL`, seed, round, metric, value.
    """
    rows = records[(records.layer != "") & (records.method.str.split(",").str[0] == "DIMAT")]
    return rows.groupby([*SETTING, *RIVAL, "seed", "round", "metric"], sort=False).value.mean().reset_index()


def rival_label(method: str, matching: str, merge: str) -> str:
    """What legends call a rival."""
    return ", ".join(filter(None, [method, matching, merge]))
