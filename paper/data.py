"""Records as data frames, summarized over agents and seeds."""

from pathlib import Path

import pandas

from dimat.errors import InputError

SETTING = ["data", "model", "agents", "partition", "graph"]
"""Columns that say in which setting methods are compared."""
TEXT = [*SETTING[:2], *SETTING[3:], "run", "method", "matching", "merge", "stage", "layer", "metric"]


def read_records(path: Path) -> pandas.DataFrame:
    """The joined records of a study; what a method ignores is an empty text."""
    try:
        return pandas.read_csv(path, dtype=dict.fromkeys(TEXT, str), keep_default_na=True).fillna(
            dict.fromkeys(TEXT, "")
        )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it with: dimat collect CONFIG") from None
    except (ValueError, pandas.errors.ParserError) as error:
        raise InputError(f"{path}: damaged records ({error}); delete it and run again") from None


def merged_accuracy(records: pandas.DataFrame) -> pandas.DataFrame:
    """Test accuracy in percent, mean over agents, for each run and round, just after the merge.

    Round 0 is before the first merge. Columns: the settings, method, merge, seed, round, accuracy.
    """
    rows = records[(records.metric == "test_accuracy") & records.stage.isin(["start", "merged"])]
    means = rows.groupby([*SETTING, "method", "merge", "seed", "round"], sort=False).value.mean() * 100
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


def without_matching(merge: str) -> str:
    """The label that a merge has in WA: without repair, averaging uses no images."""
    words = [word for word in merge.split(", ") if not word.endswith("matching")]
    return "no repair" if "no repair" in words else ", ".join(words)
