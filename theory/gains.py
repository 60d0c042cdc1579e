"""What a study's records say of accuracy: DIMAT against its rivals, paired over seeds."""

from collections.abc import Iterator

import numpy
import pandas

from theory.checks import Row
from theory.rates import interval

SETTING = ["data", "model", "agents", "partition", "graph", "protocol"]
OWN, AVERAGED = "DIMAT", "WA"
NO_RIVALS = (OWN, "no communication", "pooled training")


def gain_rows(records: pandas.DataFrame) -> Iterator[Row]:
    """A rival minus DIMAT with the published matching, in points: below 0 is a gain.

    Of the initial gain: WA at the first merge, and every rival after the gradient steps of the first round.
    Of the final gain: every rival at the last merge. Rivals average as DIMAT does if they can be had so. Of
    DIMAT with several optimizers, the first counts.
    """
    accuracy = right_after_merges(records)
    for keys, of_setting in accuracy.groupby(SETTING, sort=False):
        setting = dict(zip(SETTING, keys, strict=True))
        is_own = (of_setting.title == OWN) & (of_setting.matching == "")
        for merge, own in of_setting[is_own].groupby("merge", sort=False):
            own = own[own.method == own.method.iloc[0]].set_index(["round", "seed"]).accuracy
            for name, rival in rivals(of_setting, merge):
                by_seed = rival.set_index(["round", "seed"]).accuracy
                behind = (by_seed - own).dropna().unstack("round")
                if len(behind) > 1:
                    where = setting | {"merge": merge}
                    yield from _rows(behind, name, where)


def right_after_merges(records: pandas.DataFrame) -> pandas.DataFrame:
    """Accuracy in percent, mean over agents, and the ``title`` of each method without its options."""
    rows = records[(records.metric == "test_accuracy") & (records.stage == "merged") & (records.graph != "")]
    keys = [*SETTING, "method", "matching", "merge", "seed", "round"]
    found = (100 * rows.groupby(keys, sort=False).value.mean()).rename("accuracy").reset_index()
    return found.assign(title=found.method.str.partition(", ")[0])


def rivals(of_setting: pandas.DataFrame, merge: str) -> Iterator[tuple[str, pandas.DataFrame]]:
    """Each other method with its accuracies, merged like DIMAT with ``merge`` if there is such a run."""
    others = of_setting[~of_setting.title.isin(NO_RIVALS)]
    for (method, matching), rows in others.groupby(["method", "matching"], sort=False):
        alike = rows[rows["merge"] == merge]
        for own_merge, found in (rows if alike.empty else alike).groupby("merge", sort=False):
            words = [method, matching, own_merge if alike.empty else ""]
            yield ", ".join(filter(None, words)), found


def _rows(behind: pandas.DataFrame, rival: str, setting: dict[str, object]) -> Iterator[Row]:
    """``behind`` (seeds, rounds) are differences in points."""
    rounds = sorted(behind.columns)
    title = rival.split(", ")[0]
    if title == AVERAGED:
        yield _row("initial gain", f"ahead of {rival} at the first merge", behind[rounds[0]], setting)
    if len(rounds) > 1:
        yield _row("initial gain", f"ahead of {rival} after the first round", behind[rounds[1]], setting)
        yield _row("final gain", f"ahead of {rival} at merge {rounds[-1]}", behind[rounds[-1]], setting)


def _row(claim: str, statement: str, points: pandas.Series, setting: dict[str, object]) -> Row:
    points = points.dropna().to_numpy()
    words = [setting["data"], setting["model"], setting["partition"], setting["merge"], setting["protocol"]]
    numbers = interval(points) if len(points) > 1 else (points[0], -numpy.inf, numpy.inf)
    return Row(
        claim,
        statement,
        "rival - DIMAT, points",
        str(setting["graph"]),
        int(str(setting["agents"])),
        None,
        *numbers,
        0.0,
        seeds=len(points),
        problem="; ".join(map(str, filter(None, words))),
    )
