"""What a study's records say of accuracy: DIMAT against its rivals, paired over seeds."""

from collections.abc import Iterator

import pandas

from theory.checks import Row
from theory.rates import interval
from theory.study import SETTING, study_row, with_titles

OWN, AVERAGED = "DIMAT", "WA"
NO_RIVALS = (OWN, "no communication", "pooled training")


def gain_rows(records: pandas.DataFrame) -> Iterator[Row]:
    """A rival minus DIMAT with the published matching, in points: below 0 is a gain.

    Of the initial gain: WA at the first merge, and every rival after the gradient steps of the first round.
    Of the final gain: every rival at the last merge. Rivals average as DIMAT does if they can be had so. Of
    DIMAT with several optimizers, the first counts.
    """
    accuracy = right_after_merges(records)
    for setting, of_setting in accuracy.groupby(SETTING, sort=False):
        is_own = (of_setting.title == OWN) & (of_setting.matching == "")
        for merge, own in of_setting[is_own].groupby("merge", sort=False):
            own = own[own.method == own.method.iloc[0]].set_index(["round", "seed"]).accuracy
            for name, rival in rivals(of_setting, merge):
                by_seed = rival.set_index(["round", "seed"]).accuracy
                behind = (by_seed - own).unstack("round").dropna()
                if len(behind) > 1:
                    yield from _rows(behind, name, setting, merge)


def right_after_merges(records: pandas.DataFrame) -> pandas.DataFrame:
    """Accuracy in percent, mean over agents, and the ``title`` of each method without its options."""
    rows = records[(records.metric == "test_accuracy") & (records.stage == "merged") & (records.graph != "")]
    keys = [*SETTING, "method", "matching", "merge", "seed", "round"]
    found = (100 * rows.groupby(keys, sort=False).value.mean()).rename("accuracy").reset_index()
    return with_titles(found)


def rivals(of_setting: pandas.DataFrame, merge: str) -> Iterator[tuple[str, pandas.DataFrame]]:
    """Each other method with its accuracies, merged like DIMAT with ``merge`` if there is such a run."""
    others = of_setting[~of_setting.title.isin(NO_RIVALS)]
    for (method, matching), rows in others.groupby(["method", "matching"], sort=False):
        alike = rows[rows["merge"] == merge]
        for own_merge, found in (rows if alike.empty else alike).groupby("merge", sort=False):
            words = [method, matching, own_merge if alike.empty else ""]
            yield ", ".join(filter(None, words)), found


def _rows(behind: pandas.DataFrame, rival: str, setting: tuple[object, ...], merge: str) -> Iterator[Row]:
    """``behind`` (seeds, rounds) are differences in points."""

    def row(claim: str, when: str, round: int) -> Row:
        numbers = interval(behind[round].to_numpy())
        said = (claim, f"ahead of {rival} {when}", "rival - DIMAT, points")
        return study_row(*said, setting, merge, numbers, 0.0, seeds=len(behind))

    first, *later = sorted(behind.columns)
    if rival.split(", ")[0] == AVERAGED:
        yield row("initial gain", "at the first merge", first)
    if later:
        yield row("initial gain", "after the first round", later[0])
        yield row("final gain", f"at merge {later[-1]}", later[-1])
