"""What the first page compares: pairs of runs that are alike in all but one thing, and of one seed."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from dimat.experiment.config import Study
from dimat.experiment.runs import Run
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching
from dimat.merging.matching.rematching import FirstMeeting
from dimat.methods.dimat import Dimat
from paper.comparisons import by_experiment, like, unmatched, with_unmatched
from paper.report.entries import is_where

HELD = Matching(rematch=FirstMeeting())
"""Matched at the first merge, as published but for that."""


class Contrast(NamedTuple):
    """Two sides: in words, and as pairs of ids of runs, ours first."""

    ours: str
    theirs: str
    pairs: Callable[[Study], list[tuple[str, str]]]


def holding(study: Study) -> list[tuple[str, str]]:
    """Runs that match once, with those that match in every round."""
    known = by_experiment(study.runs)
    found = (
        (id, like(run, matching=Matching()).id) for id, run in study.runs.items() if run.matching == HELD
    )
    return [(id, known[other]) for id, other in found if other in known]


def matching(study: Study) -> list[tuple[str, str]]:
    """Runs of DIMAT that match as published, with those that average without."""
    return [(own, other) for own, other in with_unmatched(study) if study.runs[own].matching == Matching()]


def published(study: Study) -> list[tuple[str, str]]:
    """Runs of DIMAT as published, with those that average without matching, and recalibrate nothing."""
    known = by_experiment(study.runs)
    pairs = (
        (id, like(unmatched(run), calibration=Calibration(repair="none")).id)
        for id, run in study.runs.items()
        if isinstance(run.method, Dimat) and run.matching == Matching() and run.tuning is None
        if run.calibration and run.calibration.repair == "recalibrate"
    )
    return [(own, known[other]) for own, other in pairs if other in known]


def mean_model(study: Study) -> list[tuple[str, str]]:
    """Runs that measure the mean of all networks, each with itself."""
    runs = study.runs.items()
    return [(id, id) for id, run in runs if "mean_model" in run.measures and isinstance(run.method, Dimat)]


CONTRASTS = {
    "matching": Contrast("matching", "averaging alone", matching),
    "published": Contrast("DIMAT", "averaging without recalibration", published),
    "holding": Contrast("matching once", "matching in every round", holding),
    "mean-model": Contrast("the mean of all networks", "the agents", mean_model),
}


def pairs_where(study: Study, contrast: str, where: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """The pairs of a contrast whose own run is as ``where`` says."""
    pairs = CONTRASTS[contrast].pairs(study)
    return [(own, other) for own, other in pairs if is_where(study.runs[own], where)]


def runs_of(study: Study, pairs: Iterable[tuple[str, str]]) -> dict[str, Run]:
    """All runs of some pairs by id."""
    return {id: study.runs[id] for pair in pairs for id in pair}
