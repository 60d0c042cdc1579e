"""What a study's records say of how well agents do: DIMAT against its rivals, paired over seeds."""

from collections.abc import Iterator

import pandas

from dimat.experiment.cells import SETTING, without
from dimat.methods.dimat import Dimat
from dimat.methods.weight_averaging import WeightAveraging
from theory.bounds.rates import t_interval
from theory.claims.study import communicating, study_row
from theory.rows import Row


def gain_rows(runs: pandas.DataFrame, records: pandas.DataFrame) -> Iterator[Row]:
    """A rival minus DIMAT with the published matching, in the task's metric: below 0 is a gain.

    Of the initial gain: WA at the first merge, and every rival after the gradient steps of the first round.
    Of the final gain: every rival at the last merge, or the last that both have. Rivals average and train as
    DIMAT does if they can be had so. Of DIMAT with several optimizers, the first counts.
    """
    labels = communicating(runs)
    lines = without(runs, "calibration", "method.coefficients", "method.shrink").map(str)
    scores = right_after_merges(runs, records)
    trained = runs[[name for name in runs.columns if name.startswith("training.")]].agg(tuple, axis=1)
    for setting, here in labels.assign(line=lines).groupby(SETTING, sort=False):
        for averaging, own in here[here.published].groupby("averaging", sort=False):
            unit = unit_of(runs.loc[own.index[0]])
            for rival in rivals(here[here.method != Dimat.title], str(averaging)):
                alike = own[trained[own.index] == trained[rival.index[0]]]
                first = own if alike.empty else alike
                first = first[first.rival == first.rival.iloc[0]]
                behind = (by_seed(scores, rival) - by_seed(scores, first)).dropna(axis=1, how="all").dropna()
                if len(behind) > 1:
                    yield from _rows(behind, rival.iloc[0], setting, first.how.iloc[0], unit)


def right_after_merges(runs: pandas.DataFrame, records: pandas.DataFrame) -> pandas.DataFrame:
    """Metrics after merges (runs, rounds): mean over agents, in the unit, signed so that more is better."""
    rows = records[(records.stage == "merged") & (records.metric == records.run.map(runs["metric.name"]))]
    signs = runs["metric.better"].map({"higher": 1.0, "lower": -1.0})
    found = rows.groupby(["run", "round"]).value.mean().unstack("round")
    return found.mul((signs * runs["metric.scale"].astype(float)).reindex(found.index), axis=0)


def by_seed(scores: pandas.DataFrame, runs: pandas.DataFrame) -> pandas.DataFrame:
    """The scores of some labelled runs (seeds, rounds)."""
    return scores.reindex(runs.index).set_axis(runs.seed, axis=0)


def rivals(others: pandas.DataFrame, averaging: str) -> Iterator[pandas.DataFrame]:
    """The runs of each other method, averaged like DIMAT with ``averaging`` if there are such."""
    for _, rows in others.groupby("line", sort=False):
        alike = rows[rows.averaging == averaging]
        for _, found in (rows if alike.empty else alike).groupby("rival", sort=False):
            yield found


def unit_of(run: pandas.Series) -> str:
    """The unit of differences in the primary metric of a run."""
    return "points" if run["metric.unit"] == "%" else run["metric.unit"] or run["metric.title"]


def _rows(
    behind: pandas.DataFrame, rival: pandas.Series, setting: tuple[object, ...], how: str, unit: str
) -> Iterator[Row]:
    """``behind`` (seeds, rounds) are differences."""

    def row(check: str, when: str, round: int) -> Row:
        numbers = t_interval(behind[round].to_numpy())
        said = (check, f"ahead of {rival.rival} {when}", f"rival - {Dimat.title}, {unit}")
        return study_row(*said, setting, how, numbers, 0.0, seeds=len(behind))

    first, *later = sorted(map(int, behind.columns))
    if rival.method == WeightAveraging.title:
        yield row("initial-gain", "at the first merge", first)
    if later:
        yield row("initial-gain", "after the first round", later[0])
        yield row("final-gain", f"at merge {later[-1]}", later[-1])
