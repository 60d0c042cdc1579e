"""What a study's records say of how well agents do: DIMAT against its rivals, paired over seeds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from pandas import DataFrame, Series

from dimat.experiment.cells import SETTING, without
from dimat.methods.dimat import Dimat
from dimat.methods.weight_averaging import WeightAveraging
from theory.claims.error_of_test_set import variance_bound
from theory.claims.paired import PairedRow, corrected
from theory.claims.primary import CHECK_OF, Primary
from theory.claims.study import communicating, study_row
from theory.rows import exactly

DIGITS = 9
"""Of differences: equal accuracies stay equal if agents are added up in another order."""


@dataclass(frozen=True)
class Compared:
    """DIMAT and a rival in one ``setting``: their labels, and their scores (seeds, rounds)."""

    setting: tuple[object, ...]
    own: DataFrame
    rival: DataFrame
    ours: DataFrame
    theirs: DataFrame

    @cached_property
    def behind(self) -> DataFrame:
        """How much better the rival is: the seeds and rounds that both have."""
        return (self.theirs - self.ours).round(DIGITS).dropna(axis=1, how="all").dropna()

    def stages(self) -> Iterator[tuple[str, str, int]]:
        """What is compared, as a primary comparison says it and as a row does, and after which merge."""
        first, *later = sorted(map(int, self.behind.columns))
        if self.rival.method.iloc[0] == WeightAveraging.title:
            yield "first merge", "at the first merge", first
        if later:
            yield "first round", "after the first round", later[0]
            yield "last merge", f"at merge {later[-1]}", later[-1]

    def row(self, check: str, when: str, round: int, primary: bool, run: Series) -> PairedRow:
        """One comparison, not yet corrected; ``run``, one of ours, says what the metric is."""
        behind = self.behind[round]
        mean = exactly(float(behind.mean()))
        what = f"ahead of {self.rival.rival.iloc[0]} {when}", f"rival - {Dimat.title}, {unit_of(run)}"
        row = study_row(check, *what, self.setting, self.own.how.iloc[0], mean, 0.0, seeds=len(behind))
        scale, variance = float(run["metric.scale"]), None
        if run.get("metric.share") == "true" and (examples := run.get("metric.examples")):
            both = (each.loc[behind.index, round].abs().to_numpy() for each in (self.ours, self.theirs))
            ours, theirs = (scores / scale for scores in both)
            variance = scale**2 * variance_bound(ours, theirs, int(examples))
        return PairedRow(
            **vars(row), differences=tuple(behind), variance_of_test_set=variance, primary=primary
        )


def gain_rows(runs: DataFrame, records: DataFrame, primaries: Mapping[str, Primary]) -> Iterator[PairedRow]:
    """A rival minus DIMAT with the published matching, in the task's metric: below 0 is a gain.

    Of the initial gain: WA at the first merge, and every rival after the gradient steps of the first round.
    Of the final gain: every rival at the last merge, or the last that both have. ``primaries`` has for each
    check the comparison that decides.
    """
    return corrected(_rows(runs, records, primaries))


def _rows(runs: DataFrame, records: DataFrame, primaries: Mapping[str, Primary]) -> Iterator[PairedRow]:
    for pair in pairs(runs, right_after_merges(runs, records)):
        if len(pair.behind) > 1:
            own, other = (runs.loc[labels.index[0]] for labels in (pair.own, pair.rival))
            for stage, when, round in pair.stages():
                primary = primaries[CHECK_OF[stage]]
                decides = primary.when == stage and primary.joins(dict(own), dict(other))
                yield pair.row(CHECK_OF[stage], when, round, decides, own)


def pairs(runs: DataFrame, scores: DataFrame) -> Iterator[Compared]:
    """Each way in which DIMAT averages against each rival, in each setting.

    Rivals average and train as DIMAT does if they can be had so. Of DIMAT with several optimizers, the
    rival's counts, or else the first.
    """
    labels = communicating(runs)
    lines = without(runs, "calibration", "method.coefficients", "method.shrink").map(str)
    for setting, here in labels.assign(line=lines).groupby(SETTING, sort=False):
        for averaging, own in here[here.published].groupby("averaging", sort=False):
            for rival in rivals(here[here.method != Dimat.title], str(averaging)):
                first = trained_like(rival, own, runs)
                yield Compared(setting, first, rival, by_seed(scores, first), by_seed(scores, rival))


def right_after_merges(runs: DataFrame, records: DataFrame) -> DataFrame:
    """Metrics after merges (runs, rounds): mean over agents, in the unit, signed so that more is better."""
    rows = records[(records.stage == "merged") & (records.metric == records.run.map(runs["metric.name"]))]
    signs = runs["metric.better"].map({"higher": 1.0, "lower": -1.0})
    found = rows.groupby(["run", "round"]).value.mean().unstack("round")
    return found.mul((signs * runs["metric.scale"].astype(float)).reindex(found.index), axis=0)


def by_seed(scores: DataFrame, runs: DataFrame) -> DataFrame:
    """The scores of some labelled runs (seeds, rounds)."""
    return scores.reindex(runs.index).set_axis(runs.seed, axis=0)


def rivals(others: DataFrame, averaging: str) -> Iterator[DataFrame]:
    """The runs of each other method, averaged like DIMAT with ``averaging`` if there are such."""
    for _, rows in others.groupby("line", sort=False):
        alike = rows[rows.averaging == averaging]
        for _, found in (rows if alike.empty else alike).groupby("rival", sort=False):
            yield found


def trained_like(rival: DataFrame, own: DataFrame, runs: DataFrame) -> DataFrame:
    """Of ``own``, labelled runs of DIMAT, one line: trained as the rival is, as far as there is one."""
    for beginning in ("training.", "method.optimizer."):
        keys = [name for name in runs.columns if name.startswith(beginning)]
        alike = own[(runs.loc[own.index, keys] == runs.loc[rival.index[0], keys]).all(axis=1)]
        own = own if alike.empty else alike
    return own[own.rival == own.rival.iloc[0]]


def unit_of(run: Series) -> str:
    """The unit of differences in the primary metric of a run."""
    return "points" if run["metric.unit"] == "%" else run["metric.unit"] or run["metric.title"]
