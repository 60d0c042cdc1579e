"""What the paper of a study contains: the names of its figures and tables, and what each shows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dimat.experiment.config import Deal, Run, Study
from theory.first_merges import first_merges


@dataclass(frozen=True)
class Accuracy:
    """Accuracy against rounds for one data set, model and number of agents: the ids of its runs."""

    agents: int
    runs: frozenset[str]


@dataclass(frozen=True)
class Costs:
    """Accuracy against gradient steps and bytes, for the runs of an `Accuracy`."""

    agents: int
    runs: frozenset[str]


@dataclass(frozen=True)
class Matching:
    """What matching did in each round, for the runs of an `Accuracy`."""

    runs: frozenset[str]


@dataclass(frozen=True)
class Holdings:
    """Who holds which classes in one partition."""

    deal: Deal


@dataclass(frozen=True)
class Graphs:
    """All communication graphs with their spectral gaps."""

    graphs: tuple[tuple[Any, int], ...]


@dataclass(frozen=True)
class Audit:
    """What bears on claims: one of `paper.audit_figures.DRAWN`."""

    shows: str


Figure = Accuracy | Costs | Matching | Holdings | Graphs | Audit


def figures_of(study: Study) -> dict[str, Figure]:
    """All figures of a study by name."""
    runs = study.runs
    figures: dict[str, Figure] = {}
    compared = distinct((run.data, run.model, run.agents, run.protocol) for run in runs.values() if run.graph)
    for data, model, agents, protocol in compared:
        ids = frozenset(
            id
            for id, run in runs.items()
            if (run.data, run.model, run.protocol) == (data, model, protocol)
            and (run.agents == agents or not run.partition)
        )
        name = "-".join(filter(None, [data.name, model.name, str(agents), protocol.replace(" ", "-")]))
        _add(figures, f"accuracy-{name}", Accuracy(agents, ids))
        if compares(runs[id] for id in ids):
            _add(figures, f"costs-{name}", Costs(agents, ids))
        matched = frozenset(id for id in ids if runs[id].method.name == "dimat" and runs[id].graph)
        if any(runs[id].training.rounds > 1 for id in matched):
            _add(figures, f"matching-{name}", Matching(matched))
    for deal in study.deals.values():
        if deal.partition and deal.seed == study.seeds[0]:
            _add(figures, f"partition-{deal.data.name}-{deal.partition.name}-{deal.agents}", Holdings(deal))
    graphs = tuple(distinct((run.graph, run.agents) for run in runs.values() if run.graph))
    if graphs:
        figures["graphs"] = Graphs(graphs)
    for shows in audited(study):
        figures[f"audit-{shows}"] = Audit(shows)
    return figures


def audited(study: Study) -> list[str]:
    """The figures of the audit; some need networks that are merged by DIMAT, or by DIMAT and WA."""
    shown = ["bounds", "tightness", "readings"]
    if first_merges(study):
        shown += ["holonomy", "bytes"]
        if "wa" in {run.method.name for run in study.runs.values()}:
            shown.append("gain")
    return shown


def compares(runs: Iterable[Run]) -> bool:
    """Whether there are methods beside the paper's own."""
    return not {run.method.name for run in runs} <= {"dimat", "wa", "local", "pooled"}


def tables_of(study: Study) -> tuple[str, ...]:
    """All tables of a study by name."""
    runs = list(study.runs.values())
    names = ["accuracy"]
    if {"dimat", "wa"} <= {run.method.name for run in runs}:
        names.append("difference")
    if len({run.merge.matching_label() for run in runs if run.method.name == "dimat" and run.merge}) > 1:
        names.append("schedules")
    if compares(runs):
        names += ["comparison", "advantage"]
    return tuple(names)


def distinct(values: Iterable[Any]) -> list[Any]:
    """The values without repetitions, in order."""
    return list(dict.fromkeys(values))


def _add(figures: dict[str, Figure], name: str, figure: Figure) -> None:
    """Add a figure; a second one of the same name gets a number."""
    number = 2
    unique = name
    while unique in figures:
        unique, number = f"{name}-{number}", number + 1
    figures[unique] = figure
