"""The configuration: one typed schema for validation, defaults, editors and documentation.

A `Study` is what a YAML file holds. Its grid expands into `Run`s, each a `Pretrained` start (data, model,
partition, agents, seed: trained apart) continued by a method. Ids are readable and end in a hash of the
resolved experiment, so equal ids mean equal experiments.
"""

import hashlib
import itertools
import json
from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast, get_type_hints

from pydantic import ConfigDict, Field, ValidationError, create_model, model_validator
from typing_extensions import override

from dimat.agents.training import Training
from dimat.communication.options import AnyCommunication, InProcessOptions
from dimat.data import AnyDataSet
from dimat.data.partitions import AnyPartition
from dimat.errors import InputError
from dimat.experiment.feasible import check_shares, check_size
from dimat.experiment.links import Links
from dimat.experiment.tuning import Tuning
from dimat.io.files import without_checksum
from dimat.io.written import read_written
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching
from dimat.merging.options import Merging
from dimat.methods import AnyMethod, known_methods
from dimat.models import AnyModel
from dimat.randomness import Randomness
from dimat.spec import LARGEST, Axis, Many, Spec, document
from dimat.tasks import AnyObjective, Classification
from dimat.topology import AnyGraph

AgentCount = Annotated[int, Field(ge=1, le=1000)]
Seed = Annotated[int, Field(ge=0)]


class Identified(Spec):
    """A spec with an id made of readable words and a hash of everything it says.

    Specs that are derived from valid ones are constructed without validation: planning makes thousands.
    """

    @abstractmethod
    def words(self) -> list[str]:
        """The readable part of the id."""

    @cached_property
    def id(self) -> str:
        """Words joined by hyphens, then ten hexadecimal digits of the SHA-256 of the resolved spec."""
        digest = hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode())
        return "-".join([*self.words(), digest.hexdigest()[:10]])

    @override
    def __copy__(self) -> Self:
        """Without what was derived from the fields and kept: a copy may be given other fields."""
        copied = super().__copy__()
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            vars(copied).pop(name)
        return copied


class Prepared(Identified):
    """A data set, read and decoded."""

    data: AnyDataSet

    @override
    def words(self) -> list[str]:
        return [self.data.name]


class Partitioned(Identified):
    """A data set dealt out to agents; partition `None` gives everything to one agent."""

    data: AnyDataSet
    partition: AnyPartition | None
    agents: AgentCount
    seed: Seed

    @override
    def words(self) -> list[str]:
        partition = self.partition.name if self.partition else "whole"
        return [self.data.name, partition, str(self.agents), f"seed{self.seed}"]

    @cached_property
    def prepared(self) -> Prepared:
        """The data set that is dealt out."""
        return Prepared.model_construct(data=self.data)


class Pretrained(Identified):
    """Agents trained apart: what all methods of a comparison start from."""

    task: AnyObjective
    data: AnyDataSet
    model: AnyModel
    partition: AnyPartition | None
    agents: AgentCount
    training: Training
    seed: Seed

    @override
    def words(self) -> list[str]:
        return [self.data.name, self.model.name, *self.partitioned.words()[1:]]

    @cached_property
    def partitioned(self) -> Partitioned:
        """Who holds which images."""
        return Partitioned.model_construct(**{name: getattr(self, name) for name in Partitioned.model_fields})

    @property
    def randomness(self) -> Randomness:
        """The source of all random choices of the runs from this start."""
        return Randomness(f"{self.data.name}/{self.model.name}", self.seed)


class Run(Pretrained):
    """One point of the grid: a pretrained start, continued by a method on a graph."""

    graph: AnyGraph | None
    method: AnyMethod
    matching: Matching | None
    calibration: Calibration | None
    protocol: str
    tuning: Tuning | None

    @override
    def words(self) -> list[str]:
        *before, seed = super().words()
        graph = [self.graph.name] if self.graph else []
        images = [self.calibration.images, self.calibration.repair] if self.calibration else []
        return [*before, *graph, self.method.name, *images, seed]

    @property
    def merging(self) -> Merging:
        """How neurons are matched and networks calibrated."""
        return Merging(self.matching, self.calibration)

    def check(self) -> None:
        """`InputError` if the graph cannot be built, or does not suit the method."""
        if self.graph is None:
            return
        graph = f"graph: {self.graph.label()} over {self.agents} agents"
        if not (self.graph.doubly_stochastic(self.agents) or self.method.column_stochastic):
            suited = ", ".join(name for name, known in known_methods.items() if known.column_stochastic)
            raise InputError(
                f"{graph} has weights that favour some agents, as links carry messages or fail one way; "
                f"method {self.method.name} needs doubly stochastic ones, expected one of: {suited}"
            )
        if self.graph.is_directed and self.method.needs_undirected(self.matching):
            raise InputError(
                f"{graph} has links of one direction; method {self.method.name} with these options "
                "also sends against it, expected an undirected graph"
            )

    def parameters(self) -> dict[str, str]:
        """Every resolved parameter as text, by its key with dots; what the method ignores is absent."""
        return flattened(self.model_dump(mode="json"))

    @cached_property
    def tuned(self) -> "Tuned | None":
        """The choice of a learning rate that this run depends on, if any; seeds and names share it."""
        if self.tuning is None:
            return None
        point = {name: getattr(self, name) for name in Run.model_fields}
        return Tuned.model_construct(**point | {"seed": self.tuning.seed, "protocol": ""})

    @cached_property
    def pretrained(self) -> Pretrained:
        """The start alone; rounds, local steps and schedules do not matter to it."""
        ignored = ("rounds", "epochs", "steps", "optimizer_state")
        usual: dict[str, Any] = {name: Training.model_fields[name].default for name in ignored}
        usual["optimizer"] = self.training.optimizer.unscheduled()
        point: dict[str, Any] = {name: getattr(self, name) for name in Pretrained.model_fields}
        point["training"] = self.training.model_copy(update=usual)
        return Pretrained.model_construct(**point)


class Tuned(Run):
    """The choice of a learning rate for all runs that differ only in their seed."""

    tuning: Tuning  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe

    def trials(self) -> dict[float, Run]:
        """By factor, the runs among which is chosen."""
        point = {name: getattr(self, name) for name in Run.model_fields}
        held = {"data": self.data.model_copy(update={"validation": self.tuning.validation}), "tuning": None}
        rate = self.method.rate(self.training)
        return {
            factor: Run.model_validate(
                point | held | {"method": self.method.with_rate(rate * factor, self.training)}
            )
            for factor in self.tuning.factors
        }


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
    seeds: Axis[Seed] = (0, 1, 2)
    """Seeds; every random choice of a run is derived from its seed."""

    def grid(self) -> Iterator[Run]:
        """The points of the grid; what a method ignores is `None` in its runs."""
        for values in itertools.product(*(getattr(self, name) for name in AXES), self.seeds):
            point = dict(zip((*AXES, "seed"), values, strict=True))
            common = {name: getattr(self, name) for name in ("training", "protocol", "tuning")}
            run = Run.model_validate(point["method"].canonical(point) | common)
            run.check()
            yield run


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


def combined(own: object, changed: object) -> object:
    """``changed``, with what it leaves out of ``own`` if both are mappings, and of the same name if any."""
    if not isinstance(changed, Mapping):
        return changed
    own = {"name": own} if isinstance(own, str) else own
    if not isinstance(own, Mapping) or ("name" in changed and changed["name"] != own.get("name")):
        return changed
    return {**own, **{key: combined(own.get(key), value) for key, value in changed.items()}}


class Study(Experiment):
    """A configuration file: a grid, further grids that vary it, and how to execute them."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]
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
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads of a job. Results are reproducible bit by bit for one number of threads."""
    deterministic: bool = True
    """On a GPU, take only algorithms that give the same bits each time, which may be slower: a run that is
    resumed then gives the numbers of an undisturbed one. CPUs always do, and are not affected."""
    cuda_graphs: bool = True
    """On a GPU, record steps once and launch each as a whole, which changes how long they take alone."""
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
        """All runs of all grids by id, checked to be possible."""
        grids: list[Experiment] = [self]
        own = {name: getattr(self, name) for name in Experiment.model_fields}
        for variant in self.variants:
            changed = {name: getattr(variant, name) for name in variant.model_fields_set}
            grids.append(Experiment.model_validate(own | changed))
        runs = {run.id: run for grid in grids for run in grid.grid()}
        return runs

    def check(self) -> None:
        """`InputError` if data are known not to fit a model, or not to go round among the agents."""
        for start in self.pretrained.values():
            check_size(start.data, start.model)
        for each in self.partitioned.values():
            data, partition = cast(Hashable, each.data), cast(Hashable, each.partition)  # as frozen specs are
            check_shares(data, partition, each.agents, each.seed)

    @cached_property
    def tuned(self) -> dict[str, Tuned]:
        """The choices of learning rates that runs depend on, by id."""
        return {tuned.id: tuned for tuned in (run.tuned for run in self.runs.values()) if tuned}

    @cached_property
    def pretrained(self) -> dict[str, Pretrained]:
        """The starts of all runs, and of all trials of tuning, by id."""
        trials = [trial for tuned in self.tuned.values() for trial in tuned.trials().values()]
        return {start.id: start for start in (run.pretrained for run in (*self.runs.values(), *trials))}

    @cached_property
    def partitioned(self) -> dict[str, Partitioned]:
        """The partitions of all starts by id."""
        return {each.id: each for each in (start.partitioned for start in self.pretrained.values())}

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


def flattened(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mappings as one, keys joined by dots; text as it is, `None` left out, all else as JSON."""
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        elif value is not None:
            flat[prefix + key] = value if isinstance(value, str) else json.dumps(value)
    return flat


def read_study(path: Path) -> Study:
    """Read and validate a configuration file."""
    return parse_study(read_written(path), str(path))


def parse_study(content: object, name: str) -> Study:
    """Validate the ``content`` of a configuration; messages start with its ``name``."""
    if not isinstance(content, Mapping):
        found = "nothing" if content is None else "a list" if isinstance(content, list) else repr(content)
        raise InputError(f"{name}: expected a mapping of keys, got {found}")
    try:
        content = without_checksum(content)  # which study.json has, and no other configuration needs
    except (TypeError, ValueError) as error:  # TypeError: values that JSON does not have
        raise InputError(f"{name}: damaged ({error}); delete it and run again") from None
    try:
        study = Study.model_validate(content)
        _ = study.runs  # a grid point that is impossible is found here
        study.check()
    except ValidationError as error:
        raise InputError(f"{name}: {describe(error)}") from None
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    return study


def describe(error: ValidationError) -> str:
    """The first mistake of a validation in one line: key, value, what is expected."""
    first = error.errors(include_url=False)[0]
    kind, value = first["type"], first["input"]
    key = ".".join(str(part) for part in first["loc"])
    if kind == "unknown_key":
        return f"{key}: {first['msg']}" if key else first["msg"]
    if kind == "too_large":
        key = f"{key}.{first['msg']}".removeprefix(".")
        return f"{key}: expected numbers up to {LARGEST:,}, got {shown(value[first['msg']])}"
    if kind == "missing":
        return f"{key}: missing; expected a value"
    if kind.startswith("union_tag"):
        if (tags := first.get("ctx", {}).get("expected_tags")) is None:
            return f"{key}: {shown(value)} has no name; expected one"
        return f"{key}: {shown(value['name'])} is no known name; expected one of {tags}"
    message = first["msg"].removeprefix("Value error, ")
    if kind == "float_type" and isinstance(value, str):
        message += " (in YAML, 1e-3 without a dot is text: write 0.001 or 1.0e-3)"
    return f"{key}: {shown(value)} is not valid: {message[:1].lower()}{message[1:]}"


def shown(value: object) -> str:
    """A value as a part of a line."""
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:38]}...{text[-38:]}"
