"""Where everything lies below the folder of results: what is a study's own, and what studies share.

What is named by its content alone (data, partitions, starts, choices of learning rates, runs, policies) lies
in ``shared``, with the audit of bounds, which is that of all studies: two that need the same make it once.
"""

from dataclasses import dataclass
from pathlib import Path

SHARED = "shared"
RESERVED = (SHARED, "downloads", "gpus")
"""Folders of results that are no study's."""
SHARED_STEPS = ("prepare", "partition", "pretrain", "tune", "train", "policy", "audit")
"""Steps that make what studies share."""


@dataclass(frozen=True)
class Layout:
    """Paths below ``root``, the folder of a study, and beside it; ids come from `dimat.experiment.config`."""

    root: Path

    @property
    def results(self) -> Path:
        """The folder of all results."""
        return self.root.parent

    @property
    def shared(self) -> "Layout":
        """What studies share."""
        return Layout(self.results / SHARED)

    @property
    def study(self) -> Path:
        """The resolved configuration that jobs read."""
        return self.root / "study.json"

    @property
    def downloads(self) -> Path:
        """Official archives that were downloaded."""
        return self.results / "downloads"

    @property
    def locks(self) -> Path:
        """Which job uses which GPU; for all studies."""
        return self.results / "gpus"

    @property
    def runs(self) -> Path:
        """Every run with all of its parameters."""
        return self.root / "runs.csv"

    @property
    def records(self) -> Path:
        """The records of all runs."""
        return self.root / "records.csv"

    @property
    def provenance(self) -> Path:
        """What made the records: experiments, versions, devices, times."""
        return self.root / "provenance.json"

    @property
    def audit(self) -> Path:
        """Measured numbers against derived bounds."""
        return self.shared.root / "audit.csv"

    @property
    def power(self) -> Path:
        """How much smaller bounds the audit would reject."""
        return self.shared.root / "power.csv"

    @property
    def audit_full(self) -> Path:
        """The same over the large grid."""
        return self.shared.root / "audit-full.csv"

    def holonomy(self, id: str) -> Path:
        """What was measured of the first merges from one start."""
        return self.root / "holonomy" / f"{id}.csv"

    @property
    def evidence(self) -> Path:
        """What the study's own records and networks say of the claims, as rows of the audit."""
        return self.root / "evidence.csv"

    @property
    def claims(self) -> Path:
        """The verdict on every claim."""
        return self.root / "claims.csv"

    @property
    def pdf(self) -> Path:
        """The paper."""
        return self.root / "dimat.pdf"

    def report(self, catalogue: str) -> Path:
        """The paper over all studies of a folder of configurations."""
        return self.results / f"{catalogue}.pdf"

    def prepared(self, id: str) -> Path:
        """A decoded data set."""
        return self.shared.root / "data" / f"{id}.safetensors"

    def partitioned(self, id: str) -> Path:
        """A partition among agents."""
        return self.shared.root / "partitions" / f"{id}.json"

    def pretrained(self, id: str) -> Path:
        """The networks of agents trained apart."""
        return self.shared.root / "starts" / f"{id}.safetensors"

    def data_outline(self, id: str) -> Path:
        """What an archive keeps of a data set."""
        return self.prepared(id).with_suffix(".json")

    def start_outline(self, id: str) -> Path:
        """What an archive keeps of a start."""
        return self.pretrained(id).with_suffix(".json")

    def tuned(self, id: str) -> Path:
        """Which learning rate was chosen, and what was tried."""
        return self.shared.root / "choices" / f"{id}.json"

    def run(self, id: str) -> Path:
        """The records of one run, or of a trial of a choice."""
        return self.shared.root / "runs" / id / "records.csv"

    def run_provenance(self, id: str) -> Path:
        """What made the records of one run."""
        return self.shared.root / "runs" / id / "run.json"

    def last_round(self, id: str) -> Path:
        """The state of a run before its last round, where it is kept."""
        return self.shared.root / "runs" / id / "last_round.safetensors"

    def checkpoint(self, id: str) -> Path:
        """The state of an unfinished start or run."""
        return self.shared.root / "checkpoints" / f"{id}.safetensors"

    @property
    def logged(self) -> Path:
        """What others' dashboards are shown of runs, in a folder for each."""
        return self.shared.root / "logged"

    def policy(self, id: str) -> Path:
        """The weights of a congestion controller that learns."""
        return self.shared.root / "policies" / f"{id}.safetensors"

    def policy_provenance(self, id: str) -> Path:
        """What made a policy."""
        return self.policy(id).with_suffix(".json")

    @property
    def at_rest(self) -> Path:
        """Where congestion controllers come to rest, with few flows and many."""
        return self.root / "at-rest.csv"

    @property
    def simulated(self) -> Path:
        """What a link that agents share makes of the exchanges of all runs."""
        return self.root / "simulated.csv"

    def figure(self, name: str, ending: str = "svg") -> Path:
        """A figure as svg, pdf or png, or its caption as txt."""
        return self.root / "figures" / f"{name}.{ending}"

    def table(self, name: str, ending: str) -> Path:
        """A table as csv or tex."""
        return self.root / "tables" / f"{name}.{ending}"

    def log(self, command: str, id: str) -> Path:
        """What a job printed: beside what it makes, a study's own or shared."""
        place = self.shared if command in SHARED_STEPS else self
        return place.root / "logs" / command / f"{id}.log"
