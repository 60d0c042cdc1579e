"""The configuration: one typed schema for validation, defaults, editors and documentation.

A `Study` is what a YAML file holds. Its grid expands into `Run`s, each a `Start` (data, model,
partition, agents, seed: trained apart) continued by a method. Ids are readable and end in a hash of the
resolved experiment, so equal ids mean equal experiments.
"""

import hashlib
import itertools
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import yaml
from pydantic import Field, ValidationError, create_model

from dimat.agents.training import Training
from dimat.communication.links import Links
from dimat.communication.options import IN_PROCESS, AnyNetwork
from dimat.data import AnyDataSet
from dimat.data.partitions import AnyPartition
from dimat.errors import InputError
from dimat.experiment.tuning import Tuning
from dimat.io.files import without_checksum
from dimat.merging.options import Merge
from dimat.methods import AnyMethod
from dimat.models import AnyModel
from dimat.randomness import Randomness
from dimat.spec import Axis, Many, Spec
from dimat.topology import AnyGraph

Agents = Annotated[int, Field(ge=1, le=1000)]
Seed = Annotated[int, Field(ge=0)]


class Identified(Spec):
    """A spec with an id made of readable words and a hash of everything it says."""

    @abstractmethod
    def words(self) -> list[str]:
        """The readable part of the id."""

    @cached_property
    def id(self) -> str:
        """Words joined by hyphens, then ten hexadecimal digits of the SHA-256 of the resolved spec."""
        digest = hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode())
        return "-".join([*self.words(), digest.hexdigest()[:10]])


class Source(Identified):
    """A prepared data set."""

    data: AnyDataSet

    def words(self) -> list[str]:
        """The data set's name."""
        return [self.data.name]


class Deal(Identified):
    """A data set dealt out to agents; partition `None` gives everything to one agent."""

    data: AnyDataSet
    partition: AnyPartition | None
    agents: Agents
    seed: Seed

    def words(self) -> list[str]:
        """Data, partition, agents, seed."""
        return [
            self.data.name,
            self.partition.name if self.partition else "whole",
            str(self.agents),
            f"seed{self.seed}",
        ]

    @property
    def source(self) -> Source:
        """The data set that is dealt out."""
        return Source(data=self.data)


class Start(Identified):
    """Agents trained apart: what all methods of a comparison start from."""

    data: AnyDataSet
    model: AnyModel
    partition: AnyPartition | None
    agents: Agents
    training: Training
    seed: Seed

    def words(self) -> list[str]:
        """Data, model, partition, agents, seed."""
        return [self.data.name, self.model.name, *self.deal.words()[1:]]

    @property
    def deal(self) -> Deal:
        """Who holds which images."""
        return Deal(data=self.data, partition=self.partition, agents=self.agents, seed=self.seed)

    @property
    def randomness(self) -> Randomness:
        """The source of all random choices of the runs from this start."""
        return Randomness(f"{self.data.name}/{self.model.name}", self.seed)


class Run(Start):
    """One point of the grid: a start, continued by a method on a graph."""

    graph: AnyGraph | None
    method: AnyMethod
    merge: Merge | None
    protocol: str
    tuning: Tuning | None

    def words(self) -> list[str]:
        """Data, model, partition, agents, graph, method, merge, seed."""
        *before, seed = super().words()
        graph = [self.graph.name] if self.graph else []
        merge = [self.merge.images, self.merge.repair] if self.merge else []
        return [*before, *graph, self.method.name, *merge, seed]

    def check(self) -> None:
        """`InputError` if the graph cannot be built, or does not suit the method."""
        if self.graph is None:
            return
        graph = f"graph: {self.graph.label()} over {self.agents} agents"
        if not (self.graph.doubly_stochastic(self.agents) or self.method.pushes):
            raise InputError(
                f"{graph} has links of one direction, whose weights favour some agents; method "
                f"{self.method.name} needs doubly stochastic ones, valid with such graphs is sgp"
            )
        if self.graph.directed and self.method.answers(self.merge):
            raise InputError(
                f"{graph} has links of one direction; method {self.method.name} with these options "
                "also sends against it, valid is an undirected graph"
            )

    @property
    def choice(self) -> "Choice | None":
        """The choice of a learning rate that this run depends on, if any; seeds and names share it."""
        if self.tuning is None:
            return None
        return Choice(
            **{name: getattr(self, name) for name in Run.model_fields}
            | {"seed": self.tuning.seed, "protocol": ""}
        )

    @property
    def start(self) -> Start:
        """The start alone; rounds and local steps do not matter to it."""
        training = self.training.model_copy(
            update={
                name: Training.model_fields[name].default
                for name in ("rounds", "epochs", "steps", "optimizer_state")
            }
        )
        return Start(**{name: getattr(self, name) for name in Start.model_fields} | {"training": training})


class Choice(Run):
    """The choice of a learning rate for all runs that differ only in their seed."""

    tuning: Tuning

    def trials(self) -> dict[float, Run]:
        """By factor, the runs among which is chosen."""
        point = {name: getattr(self, name) for name in Run.model_fields}
        held = {"data": self.data.model_copy(update={"validation": self.tuning.validation}), "tuning": None}
        return {
            factor: Run(**point | held | {"method": self.method.faster(factor, self.training)})
            for factor in self.tuning.factors
        }


class Experiment(Spec):
    """A grid: every combination of its axes, each one value or a list."""

    data: Axis[AnyDataSet]
    """Data sets."""
    model: Axis[AnyModel]
    """Architectures."""
    partition: Axis[AnyPartition]
    """How training images are dealt out to the agents."""
    graph: Axis[AnyGraph]
    """Communication graphs."""
    agents: Axis[Agents] = (5,)
    """Numbers of agents."""
    method: Axis[AnyMethod]
    """Decentralized learning methods."""
    merge: Axis[Merge] = (Merge(),)
    """Options of the merge, for the methods that merge."""
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
        axes = ("data", "model", "partition", "graph", "agents", "method", "merge")
        for values in itertools.product(*(getattr(self, name) for name in axes), self.seeds):
            point = dict(zip((*axes, "seed"), values, strict=True))
            common = {name: getattr(self, name) for name in ("training", "protocol", "tuning")}
            run = Run(**point["method"].canonical(point) | common)
            run.check()
            yield run


Variant = create_model(
    "Variant",
    __base__=Spec,
    __doc__="Keys that replace those of the study's own grid.",
    **{
        name: (annotation | None, Field(None, description=Experiment.model_fields[name].description))
        for name, annotation in get_type_hints(Experiment, include_extras=True).items()
        if name in Experiment.model_fields
    },
)


class Study(Experiment):
    """A configuration file: a grid, further grids that vary it, and how to execute them."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]
    """Name of the study and of its folder of results."""
    variants: Many[Variant] = ()
    """Further grids: each is the grid of this file with the given keys replaced."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where agents train: `auto` takes a GPU where there is one."""
    network: AnyNetwork = IN_PROCESS
    """Where agents live: `in_process`, all in one program, or `ranks`, each in a process of its own."""
    links: Links | None = None
    """Bandwidth and latency for simulated times in comparisons of methods; null simulates none."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads of a job. Results are reproducible bit by bit for one number of threads."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0
    """Write a checkpoint when the last one is at least so old."""
    keep_checkpoints: bool = False
    """Keep the checkpoint before each run's last round, all agents' networks, for `dimat verify`."""

    @cached_property
    def runs(self) -> dict[str, Run]:
        """All runs of all grids by id, checked to be possible."""
        grids: list[Experiment] = [self]
        own = {name: getattr(self, name) for name in Experiment.model_fields}
        for variant in self.variants:
            changed = {name: getattr(variant, name) for name in variant.model_fields_set}
            grids.append(Experiment(**own | changed))
        runs = {run.id: run for grid in grids for run in grid.grid()}
        return runs

    @cached_property
    def choices(self) -> dict[str, Choice]:
        """The choices of learning rates that runs depend on, by id."""
        return {choice.id: choice for choice in (run.choice for run in self.runs.values()) if choice}

    @cached_property
    def starts(self) -> dict[str, Start]:
        """The starts of all runs, and of all trials of tuning, by id."""
        trials = [trial for choice in self.choices.values() for trial in choice.trials().values()]
        return {start.id: start for start in (run.start for run in (*self.runs.values(), *trials))}

    @cached_property
    def deals(self) -> dict[str, Deal]:
        """The partitions of all starts by id."""
        return {deal.id: deal for deal in (start.deal for start in self.starts.values())}

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The data sets of all partitions by id."""
        return {source.id: source for source in (deal.source for deal in self.deals.values())}


def read_study(path: Path) -> Study:
    """Read and validate a configuration file."""
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no text, or an impossible date
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return parse_study(content, str(path))


def parse_study(content: object, name: str) -> Study:
    """Validate the ``content`` of a configuration; messages start with its ``name``."""
    if not isinstance(content, Mapping):
        raise InputError(f"{name}: a configuration is a mapping of keys, found {type(content).__name__}")
    try:
        content = without_checksum(content)  # which study.json has, and no other configuration needs
    except (TypeError, ValueError) as error:  # TypeError: values that JSON does not have
        raise InputError(f"{name}: damaged ({error}); delete it and run again") from None
    try:
        study = Study.model_validate(content)
        _ = study.runs  # a grid point that is impossible is found here
    except ValidationError as error:
        raise InputError(f"{name}: {describe(error)}") from None
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    return study


def describe(error: ValidationError) -> str:
    """The first mistake of a validation in one line: key, value, what would be valid."""
    first = error.errors(include_url=False)[0]
    kind, value = first["type"], first["input"]
    key = ".".join(str(part) for part in first["loc"])
    if kind == "unknown_key":
        return f"{key}: {first['msg']}" if key else first["msg"]
    if kind == "missing":
        return f"{key}: missing; it is required"
    if kind.startswith("union_tag"):
        if "expected_tags" not in first["ctx"]:
            return f"{key}: {value!r} is not valid: it needs a name"
        return f"{key}: {value['name']!r} is no known name; valid names: {first['ctx']['expected_tags']}"
    message = first["msg"].removeprefix("Value error, ")
    if kind == "float_type" and isinstance(value, str):
        message += " (in YAML, 1e-3 without a dot is text: write 0.001 or 1.0e-3)"
    return f"{key}: {value!r} is not valid: {message[:1].lower()}{message[1:]}"
