"""Which merges of real networks the audit looks at. Apart from the audit, as the pipeline plans by it."""

from dimat.experiment.config import Run, Study
from dimat.merging.options import Merge
from dimat.topology import AnyGraph


def first_merges(study: Study) -> dict[str, list[Run]]:
    """A run for each distinct first merge of DIMAT, by the id of their start; graphs that do not change."""
    found: dict[str, dict[tuple[AnyGraph, Merge], Run]] = {}
    for run in study.runs.values():
        graph = run.graph
        if run.method.name == "dimat" and graph and not graph.directed and graph.period(run.agents) == 1:
            found.setdefault(run.start.id, {}).setdefault((graph, run.merge), run)
    return {id: list(runs.values()) for id, runs in found.items()}
