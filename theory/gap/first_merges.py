"""Which merges of real networks the audit looks at. Apart from the audit, as the pipeline plans by it."""

from collections.abc import Hashable

from dimat.experiment.config import Study
from dimat.experiment.runs import Run
from dimat.methods.dimat import Dimat


def first_merges(study: Study) -> dict[str, list[Run]]:
    """A run for each distinct first merge of DIMAT, by the id of their start; graphs that do not change.

    One agent has nobody to merge with, and networks that are the same match as they stand.
    """
    found: dict[str, dict[Hashable, Run]] = {}
    for run in study.runs.values():
        graph = run.graph
        if (
            isinstance(run.method, Dimat)
            and graph
            and run.agents > 1
            and run.training.start != "pretrained"
            and not graph.is_directed
            and graph.period(run.agents) == 1
        ):
            merge = (graph, run.matching, run.calibration)
            found.setdefault(run.pretrained.id, {}).setdefault(merge, run)
    return {id: list(runs.values()) for id, runs in found.items()}
