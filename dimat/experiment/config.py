"""The configuration: one typed schema for validation, defaults, editors and documentation.

A `Study` is what a YAML file holds; its grid expands into runs.
"""

import hashlib
import itertools
import json
from collections.abc import Hashable, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, cast, get_type_hints

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
    model_validator,
)

from dimat.agents.attacks import AnyAttack
from dimat.agents.training import Training
from dimat.communication.congestion.adpg import Adpg
from dimat.communication.congestion.bottleneck import Bottleneck
from dimat.communication.options import AnyCommunication, InProcessOptions
from dimat.data import AnyDataSet
from dimat.data.partitions import AnyPartition
from dimat.errors import InputError
from dimat.experiment.feasible import check_dealt, check_shares, check_size
from dimat.experiment.layout import RESERVED
from dimat.experiment.links import Links
from dimat.experiment.measures import Measures
from dimat.experiment.policies import TrainedPolicy
from dimat.experiment.runs import AgentCount, Partitioned, Prepared, Pretrained, Run, Seed, Tuned
from dimat.experiment.tuning import Tuning
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching
from dimat.methods import AnyMethod
from dimat.models import AnyModel
from dimat.spec import Axis, Many, Spec, document
from dimat.tasks import AnyObjective, Classification
from dimat.topology import AnyGraph


def without_none(content: dict[str, Any], key: str) -> dict[str, Any]:
    """A dump without a ``key`` that says nothing: of what was written before there was such a key."""
    if content.get(key) is None:
        content.pop(key, None)
    return content


class Experiment(Spec):
    """A grid: every combination of its axes, each one value or a list."""

    task: Axis[AnyObjective] = (Classification(),)
    """What networks learn."""
    data: Axis[AnyDataSet]
    """Data sets."""
    model: Axis[AnyModel]
    """Architectures."""
    partition: Axis[AnyPartition]
    """How training images are dealt out to the agents."""
    graph: Axis[AnyGraph]
    """Communication graphs."""
    agents: Axis[AgentCount] = (5,)
    """Numbers of agents."""
    method: Axis[AnyMethod]
    """Decentralized learning methods."""
    matching: Axis[Matching] = (Matching(),)
    """How neurons are matched, for the methods that match."""
    calibration: Axis[Calibration] = (Calibration(),)
    """What is repaired after averaging and on whose images, for the methods that communicate."""
    training: Training = Training()
    """Schedule of local training."""
    protocol: Annotated[str, Field(pattern=r"^[a-z -]{0,20}$")] = ""
    """Name of the rules by which methods are compared here, for figures and tables."""
    tuning: Tuning | None = None
    """How learning rates are chosen; null takes them as they are given."""
    measures: Measures = ()
    """What is recorded beside the scores of every agent on the test set. `training_loss`: mean loss over the
    training images of all agents, at the start and after each merge. `parts`: scores on the part of the test
    set that is like each agent's training images, at the start and after the first and the last merge.
    `mean_model`: scores of the mean of all networks, at the start and after each merge. `optimum`: how far
    every agent is from the minimizer of the mean loss of all, relative to its norm, at the start and after
    each merge; of a convex model with weight decay, on images that are not augmented. `adaptation`: scores
    after 0 to 9 steps of adaptation, at the start and in the end; of few-shot tasks, `sines` and `rotations`,
    which have neither `training_loss` nor `parts` nor `optimum`."""
    attack: AnyAttack | None = None
    """One agent that harms the others by what it sends: `noise`, or its own network `permuted`; null: none.
    All scores, and how far agents are apart, are those of the others; what is said of a run names the one
    that is not counted."""
    seeds: Axis[Seed] = (0, 1, 2)
    """Seeds; every random choice of a run is derived from its seed."""

    @model_serializer(mode="wrap")
    def _what_is_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_none(handler(self), "attack")

    def grid(self) -> Iterator[Run]:
        """The points of the grid; what a method ignores is `None` in its runs."""
        for values in itertools.product(*(getattr(self, name) for name in AXES), self.seeds):
            point = dict(zip((*AXES, "seed"), values, strict=True))
            common = {name: getattr(self, name) for name in COMMON}
            run = Run.model_validate(point["method"].canonical(point) | common)
            run.check()
            yield run


COMMON = ("training", "protocol", "tuning", "measures", "attack")
"""What all runs of a grid have alike."""
AXES = ("task", "data", "model", "partition", "graph", "agents", "method", "matching", "calibration")
"""The axes of the grid, in the order in which it is gone through; seeds come last."""


_optional: dict[str, Any] = {
    name: (annotation, None)
    for name, annotation in get_type_hints(Experiment, include_extras=True).items()
    if name in Experiment.model_fields
}


def _inherits(schema: dict[str, Any]) -> None:
    """In a variant, a mapping may be a part of one, without the name that it inherits."""
    document(schema, Experiment)
    for field in schema["properties"].values():
        del field["default"]
        if "$ref" in json.dumps(field):
            about = {"description": field.pop("description")}
            alternatives = field["anyOf"] if list(field) == ["anyOf"] else [dict(field)]
            field.clear()
            field |= about | {"anyOf": [*alternatives, {"type": "object", "not": {"required": ["name"]}}]}


class Variant(create_model("Variant", __base__=Spec, **_optional)):
    """Keys of a further grid; all others are as in the study's own.

    Mappings are combined with those of the study's own grid, see `combined`.
    """

    model_config = ConfigDict(json_schema_extra=_inherits)

    @model_serializer(mode="wrap")
    def _what_is_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_none(handler(self), "attack")


def combined(own: object, changed: object) -> object:
    """``changed``, with what it leaves out of ``own`` if both are mappings, and of the same name if any."""
    if not isinstance(changed, Mapping):
        return changed
    own = {"name": own} if isinstance(own, str) else own
    if not isinstance(own, Mapping) or ("name" in changed and changed["name"] != own.get("name")):
        return changed
    return {**own, **{key: combined(own.get(key), value) for key, value in changed.items()}}


def free(name: str) -> str:
    """``name``, if no folder of results that is not a study's has it; else ValueError."""
    if name in RESERVED:
        raise ValueError(f"expected a name that is none of {', '.join(RESERVED)}, folders of results")
    return name


class Study(Experiment):
    """A configuration file: a grid, further grids that vary it, and how to execute them."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$"), AfterValidator(free)]
    """Name of the study and of its folder of results."""
    variants: Many[Variant] = ()
    """Further grids: each is the grid of this file with the given keys changed. Mappings are combined key by
    key, however deep (`training: {epochs: 5}` keeps the file's other keys of `training`); lists and single
    values replace, and so does a mapping with another `name`."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where agents train: `auto` takes a GPU where there is one."""
    communication: AnyCommunication = InProcessOptions()
    """Where agents live: `in_process`, all in one program, or `ranks`, each in a process of its own."""
    links: Links | None = None
    """Bandwidth and latency for simulated times in comparisons of methods; null simulates none."""
    bottleneck: Bottleneck | None = None
    """A link that all agents share, with a queue and congestion control, for simulated times; null: none."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads of a job. Results are reproducible bit by bit for one number of threads."""
    deterministic: bool = True
    """On a GPU, take only algorithms that give the same bits each time, which may be slower: a run that is
    resumed then gives the numbers of an undisturbed one. CPUs always do, and are not affected."""
    cuda_graphs: bool = True
    """On a GPU, record steps once and launch each as a whole, which changes how long they take alone."""
    divergence: Literal["refused", "recorded"] = "refused"
    """What becomes of a run whose agents leave the finite numbers: `refused`, it ends in an error, or
    `recorded`, it goes on, and what such networks answer counts (`diverged` in the records). Trials never go
    on."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0
    """Write a checkpoint when the last one is at least so old."""
    keep_checkpoints: bool = False
    """Keep the checkpoint before each run's last round, all agents' networks, for `dimat verify`."""

    def resolved(self) -> dict[str, Any]:
        """The configuration as jobs read it: what was written, and the edges of graphs in files."""
        return self.model_dump(mode="json", exclude_unset=True)

    @cached_property
    def content(self) -> str:
        """SHA-256 over all that results depend on: not where and how they are made."""
        execution = {
            "device", "threads", "deterministic", "cuda_graphs", "checkpoint_seconds", "keep_checkpoints",
        }  # fmt: skip
        text = json.dumps(self.model_dump(mode="json", exclude=execution), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @model_validator(mode="before")
    @classmethod
    def _inherited(cls, content: Any) -> Any:
        """Mappings of variants, completed by those of the file and the defaults."""
        if not isinstance(content, Mapping) or not isinstance(content.get("variants"), list | tuple):
            return content
        own = combined(_defaults(), {key: content[key] for key in content if key in Experiment.model_fields})
        assert isinstance(own, Mapping)
        complete = [
            {key: combined(own.get(key), value) for key, value in variant.items()}
            if isinstance(variant, Mapping)
            else variant
            for variant in content["variants"]
        ]
        return {**content, "variants": complete}

    @cached_property
    def runs(self) -> dict[str, Run]:
        """All runs of all grids by id, checked to be possible.

        Runs of several grids that differ in nothing but what they record are one run, which records it all.
        """
        grids: list[Experiment] = [self]
        own = {name: getattr(self, name) for name in Experiment.model_fields}
        for variant in self.variants:
            changed = {name: getattr(variant, name) for name in variant.model_fields_set}
            grids.append(Experiment.model_validate(own | changed))
        runs: dict[str, Run] = {}
        for run in (run for grid in grids for run in grid.grid()):
            id = run.measuring(()).id
            runs[id] = run.measuring(run.measures + (runs[id].measures if id in runs else ()))
        return {run.id: run for run in runs.values()}

    def check(self) -> None:
        """`InputError` if data are known not to fit a model, or data or channels not to go round.

        So it is where agents that take turns would share a link: one at a time has it for itself.
        """
        for start in self.pretrained.values():
            check_size(start.data, start.model)
        for each in self.partitioned.values():
            data, partition = cast(Hashable, each.data), cast(Hashable, each.partition)  # as frozen specs are
            check_shares(data, partition, each.agents, each.seed)
        for run in self.runs.values():
            if self.bottleneck and run.method.takes_turns:
                raise InputError(
                    f"bottleneck: agents take turns by method.name: {run.method.name!r}, and share no link; "
                    "expected other methods, or 'bottleneck: null'"
                )
            if run.method.deals_channels and run.graph:
                check_dealt(run.data, run.model, run.graph, run.agents)

    @cached_property
    def tuned(self) -> dict[str, Tuned]:
        """The choices of learning rates that runs depend on, by id."""
        return {tuned.id: tuned for tuned in (run.tuned for run in self.runs.values()) if tuned}

    @property
    def policies_by_seed(self) -> dict[tuple[int, int], TrainedPolicy]:
        """Policies of congestion controllers that learn, by the controller's place in the list and seed."""
        if self.bottleneck is None:
            return {}
        seeds = sorted({run.seed for run in self.runs.values()})
        return {
            (place, seed): TrainedPolicy(controller=controller, buffer=self.bottleneck.buffer, seed=seed)
            for place, controller in enumerate(self.bottleneck.controller)
            if isinstance(controller, Adpg)
            for seed in seeds
        }

    @cached_property
    def policies(self) -> dict[str, TrainedPolicy]:
        """The same by id."""
        return {each.id: each for each in self.policies_by_seed.values()}

    @cached_property
    def pretrained(self) -> dict[str, Pretrained]:
        """The starts of all runs, and of all trials of tuning, by id."""
        trials = [trial for tuned in self.tuned.values() for trial in tuned.trials().values()]
        return {start.id: start for start in (run.pretrained for run in (*self.runs.values(), *trials))}

    @cached_property
    def partitioned(self) -> dict[str, Partitioned]:
        """The partitions of all starts and runs by id."""
        starts = {each.id: each for each in (start.partitioned for start in self.pretrained.values())}
        # Where one network was trained for all agents, these deal out what it saw among themselves.
        trials = (trial for tuned in self.tuned.values() for trial in tuned.trials().values())
        apart = (run for run in (*self.runs.values(), *trials) if run.training.start == "pretrained")
        return starts | {each.id: each for each in (run.partitioned for run in apart)}

    @cached_property
    def prepared(self) -> dict[str, Prepared]:
        """The data sets of all partitions by id."""
        return {each.id: each for each in (partitioned.prepared for partitioned in self.partitioned.values())}


def _defaults() -> dict[str, Any]:
    """The sections of a study that are there without being written, as they may be written."""
    sections = {name: field.default for name, field in Experiment.model_fields.items()}
    single = {
        name: value[0] if isinstance(value, tuple) and len(value) == 1 else value
        for name, value in sections.items()
    }
    return {name: value.model_dump(mode="json") for name, value in single.items() if isinstance(value, Spec)}
