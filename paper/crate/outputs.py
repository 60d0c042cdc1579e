"""What a study makes, file by file, with what is said of each."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from paper.figures import figures_of
from paper.tables import tables_of


class Output(NamedTuple):
    """A file that a study makes, as it is called in the crate."""

    path: Path
    text: str
    parameter: str | None = None
    """Its slot in the workflow's interface, for those of which every study has one."""


def outputs(study: Study, layout: Layout) -> Iterator[Output]:
    """What a study has made so far, in the order of its making; images and networks are left out."""
    every = [
        Output(layout.runs, "Every run with all of its parameters", "runs"),
        Output(layout.records, "The records of all runs", "records"),
        Output(layout.provenance, "What made the records: versions, devices, times", "provenance"),
        *(Output(layout.run_provenance(id), f"What made the run {id}") for id in study.runs),
        *(Output(layout.tuned(id), f"The learning rate chosen for {id}") for id in study.tuned),
        *(Output(layout.policy_provenance(id), f"What made the policy {id}") for id in study.policies),
        Output(layout.at_rest, "Where congestion controllers come to rest"),
        Output(layout.simulated, "Simulated times on a link that agents share"),
        Output(layout.audit, "Measured numbers against derived bounds", "audit"),
        Output(layout.audit_full, "Measured numbers against derived bounds, over the large grid"),
        *(Output(layout.holonomy(id), f"The first merges from {id}") for id in study.pretrained),
        Output(layout.evidence, "What the study's records and networks say of the claims", "evidence"),
        Output(layout.claims, "The verdict on every claim", "claims"),
    ]
    for name, each in figures_of(study).items():
        endings = ("svg", "pdf", "png", "txt")
        every += [Output(layout.figure(name, ending), each.caption()) for ending in endings]
    for name, each in tables_of(study).items():
        every += [Output(layout.table(name, ending), each.caption()) for ending in ("csv", "tex")]
    every.append(Output(layout.pdf, "The paper of the study", "paper"))
    return (each for each in every if each.path.exists())
