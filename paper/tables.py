"""The tables, as CSV and LaTeX."""

from collections.abc import Iterator

import pandas

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.io.files import read_json
from paper.comparison import advantage_table, comparison_table, costs_by_round, summaries
from paper.contents import Accuracy, Costs, figures_of
from paper.data import RIVAL, SETTING, in_every_setting, merged_accuracy, read_records
from paper.intervals import interval

MERGES_SHOWN = (0, 1, 2, 4, 10)
"""Columns of the tables: accuracy after so many merges (0: before the first), and after the last."""


def tabulate(study: Study, layout: Layout, name: str) -> pandas.DataFrame:
    """One table of a study."""
    records = read_records(layout.records)
    if name in ("comparison", "advantage"):
        costs = [
            in_every_setting(costs_by_round(records[records.run.isin(what.runs)], study.links), what.agents)
            for what in figures_of(study).values()
            if isinstance(what, Costs)
        ]
        sums = pandas.concat([summaries(of_one) for of_one in costs], ignore_index=True)
        if name == "advantage":
            return advantage_table(sums)
        return comparison_table(sums, read_json(layout.provenance)["by_run"])
    comparisons = [
        in_every_setting(merged_accuracy(records[records.run.isin(what.runs)]), what.agents)
        for what in figures_of(study).values()
        if isinstance(what, Accuracy)
    ]
    accuracy = pandas.concat(comparisons, ignore_index=True)
    make = {"accuracy": accuracy_table, "difference": difference_table, "schedules": schedules_table}
    return make[name](accuracy)


def as_csv(table: pandas.DataFrame) -> bytes:
    """The table as CSV."""
    return table.to_csv(index=False).encode()


def as_latex(table: pandas.DataFrame) -> bytes:
    """The table as a LaTeX tabular."""
    return table.to_latex(index=False, escape=True).replace("±", r"$\pm$").encode()


def rounds_shown(rounds: pandas.Series) -> list[int]:
    """The rounds that tables show."""
    last = int(rounds.max())
    return sorted({round for round in MERGES_SHOWN if round <= last} | {last})


def settings(accuracy: pandas.DataFrame, keys: list[str]) -> Iterator[tuple[dict, pandas.DataFrame]]:
    """Each setting (a dictionary of ``keys``) with its rows; columns that never vary are left to captions."""
    for values, rows in accuracy.groupby(keys, sort=False):
        yield dict(zip(keys, values, strict=True)), rows


def accuracy_table(accuracy: pandas.DataFrame) -> pandas.DataFrame:
    """Mean and sample standard deviation over seeds of the agents' mean test accuracy, in percent."""
    lines = []
    for setting, rows in settings(accuracy, [*SETTING, *RIVAL]):
        over_seeds = rows.groupby("round").accuracy
        line = setting | {"seeds": rows.seed.nunique()}
        for round in rounds_shown(accuracy["round"]):
            values = over_seeds.get_group(round)
            spread = f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else ""
            line[f"merge {round}"] = f"{values.mean():.1f}{spread}"
        lines.append(line)
    return pandas.DataFrame(lines)


def with_and_without_matching(accuracy: pandas.DataFrame) -> pandas.DataFrame:
    """The rows of DIMAT and WA; what follows in the legend, such as the optimizer, as ``options``."""
    legend = accuracy.method.str.partition(", ")
    rows = accuracy.assign(method=legend[0], options=legend[2])
    return rows[rows.method.isin(["DIMAT", "WA"])]


def difference_table(accuracy: pandas.DataFrame) -> pandas.DataFrame:
    """DIMAT minus WA, alike in options, repair and images, paired over seeds.

    Mean and 95 % t-interval, in points.
    """
    lines = []
    both = with_and_without_matching(accuracy)
    for setting, rows in settings(both, [*SETTING, "options", "protocol"]):
        dimat = rows[rows.method == "DIMAT"]
        for (matching, merge), own in dimat.groupby(["matching", "merge"], sort=False):
            rival = rows[(rows.method == "WA") & (rows["merge"] == merge)]
            pairs = own.merge(rival, on=["seed", "round"], suffixes=("", "_rival"))
            if pairs.empty:
                continue
            line = setting | {"matching": matching, "merge": merge, "seeds": pairs.seed.nunique()}
            for round in rounds_shown(accuracy["round"])[1:]:
                at = pairs[pairs["round"] == round]
                line[f"merge {round}"] = interval((at.accuracy - at.accuracy_rival).to_numpy())
            lines.append(line)
    return pandas.DataFrame(lines)


def schedules_table(accuracy: pandas.DataFrame) -> pandas.DataFrame:
    """Each way of matching, and none, minus the best of the others, alike in options, repair and images.

    At each round, the best is that with the highest mean over seeds. Differences are paired over seeds:
    mean and 95 % t-interval, in points. An interval that contains 0 cannot be told from the best other.
    """
    lines = []
    both = with_and_without_matching(accuracy)
    for setting, rows in settings(both, [*SETTING, "options", "merge", "protocol"]):
        by_seed = rows.pivot(index=["round", "seed"], columns=["method", "matching"], values="accuracy")
        for rival in by_seed.columns if len(by_seed.columns) > 1 else ():
            line = setting | {"method": rival[0], "matching": rival[1], "seeds": rows.seed.nunique()}
            for round in rounds_shown(accuracy["round"])[1:]:
                here = by_seed.loc[round].dropna()
                best = here.drop(columns=[rival]).mean().idxmax()
                line[f"merge {round}"] = interval((here[rival] - here[best]).to_numpy())
            lines.append(line)
    return pandas.DataFrame(lines)
