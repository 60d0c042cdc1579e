"""What a configuration comes down to: runs, and the data, partitions and starts that they share.

A `Run` is a `Pretrained` start (data, model, partition, agents, seed: trained apart) continued by a method.
Ids are readable and end in a hash of the resolved experiment, so equal ids mean equal experiments.
"""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from typing_extensions import override

from dimat.agents.attacks import AnyAttack
from dimat.agents.training import Training
from dimat.data import AnyDataSet
from dimat.data.partitions import AnyPartition, TwoPhase
from dimat.errors import InputError
from dimat.experiment.measures import Measure, Measures, in_order
from dimat.experiment.records import flattened
from dimat.experiment.tuning import Tuning
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching
from dimat.merging.options import Merging
from dimat.methods import AnyMethod, known_methods
from dimat.models import AnyModel
from dimat.randomness import Randomness
from dimat.spec import Spec
from dimat.tasks import AnyObjective
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
    measures: Measures = ()
    attack: AnyAttack | None = None

    @model_serializer(mode="wrap")
    def _what_is_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Measures and an attack are a part of a run only where there are some."""
        content = handler(self)
        for key in ("measures", "attack"):
            if not getattr(self, key):
                content.pop(key, None)
        return content

    def measuring(self, measures: Iterable[Measure]) -> "Run":
        """The same run, which records these ``measures``."""
        wanted = in_order(measures)
        return self if wanted == self.measures else self.model_copy(update={"measures": wanted})

    @cached_property
    def experiment_id(self) -> str:
        """The id of the run that is the same, but for measures: it records none."""
        return self.measuring(()).id

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
        """`InputError` if data or graph do not suit the task or the method, or a measure is not to be had."""
        self._check_task()
        self.task.check(self.agents)
        if "optimum" in self.measures:
            self._check_convex()
        if self.attack is not None:
            self._check_attack(self.attack.agent)
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
        if self.graph.delays is not None:
            self._check_delays(graph)
        self.method.check_graph(self.graph.mixing_matrix(self.agents))

    def _check_delays(self, graph: str) -> None:
        """`InputError` if the method, or its matching, needs what all agents have at the same time."""
        if not self.method.bears_delays:
            suited = ", ".join(name for name, known in known_methods.items() if known.bears_delays)
            raise InputError(
                f"{graph} has messages that arrive late; method {self.method.name} needs all of a "
                f"communication together, expected one of: {suited}"
            )
        if self.matching is not None and self.matching.common_frame:
            raise InputError(
                f"{graph} has messages that arrive late, and this matching moves agents to a common frame "
                "meanwhile; expected matching.alignment per_edge, and a matching.rematch without frames"
            )

    def _check_attack(self, attacker: int) -> None:
        """`InputError` unless there is such an agent, and others whom the method lets it attack."""
        if not self.method.meets_attackers:
            suited = ", ".join(name for name, known in known_methods.items() if known.meets_attackers)
            raise InputError(
                f"attack: method {self.method.name} meets no attackers; expected one of: {suited}"
            )
        if self.agents < 2 or attacker >= self.agents:
            raise InputError(
                f"attack.agent: {attacker} of {self.agents} agents; expected two agents or more, and one of "
                f"0 to {self.agents - 1}"
            )

    def _check_task(self) -> None:
        """`InputError` unless the task can be learnt from the data, in such batches, and measured so."""
        task, data = self.task, self.data
        if data.examples != task.learns_from:
            raise InputError(
                f"task: {task.name} learns from {task.learns_from}, and data: {data.name} has "
                f"{data.examples}; expected data of its own"
            )
        if task.classes is not None and data.class_count not in (None, task.classes):
            raise InputError(
                f"task: {task.name} tells {task.classes} classes apart, and {data.name} has "
                f"{data.class_count}; expected data.two_classes, which makes two of them"
            )
        if self.training.batch_size < task.fewest:
            raise InputError(
                f"training.batch_size: {self.training.batch_size}; expected {task.fewest} or more, as batch "
                "normalization has no statistics of a single image"
            )
        for measure in self.measures:
            if measure in task.lacks:
                raise task.without(measure)

    def _check_convex(self) -> None:
        """`InputError` unless the loss has one minimizer, whatever images are augmented to."""
        problem = ""
        if not self.model.convex:
            problem = f"model: {self.model.name} has none; expected a convex model, linear"
        elif not self.method.weight_decay_in(self.training):
            problem = f"method: {self.method.name} has weight_decay 0; expected one above 0"
        elif self.data.flip or self.data.crop:
            problem = "data: images are augmented; expected flip: false, crop: 0"
        if problem:
            raise InputError(f"measures: optimum needs a loss with one minimizer, {problem}")

    def parameters(self) -> dict[str, str]:
        """Every resolved parameter as text, by its key with dots; what the method ignores is absent."""
        return flattened(self.model_dump(mode="json"))

    @cached_property
    def tuned(self) -> "Tuned | None":
        """The choice of a learning rate that this run depends on, if any.

        Runs that differ in their seed, their protocol or their measures share it.
        """
        if self.tuning is None:
            return None
        point = {name: getattr(self, name) for name in Run.model_fields}
        common = {"seed": self.tuning.seed, "protocol": "", "measures": ()}
        return Tuned.model_construct(**point | common)

    @cached_property
    def pretrained(self) -> Pretrained:
        """The start alone; rounds, local steps and schedules do not matter to it.

        One that all agents share is that of a single agent, who holds what all hold before the first merge.
        """
        ignored = ("rounds", "epochs", "steps", "optimizer_state")
        usual: dict[str, Any] = {name: Training.model_fields[name].default for name in ignored}
        usual["optimizer"] = self.training.optimizer.unscheduled()
        point: dict[str, Any] = {name: getattr(self, name) for name in Pretrained.model_fields}
        if self.training.start == "pretrained":
            usual["start"] = "different"
            phased = self.partition if isinstance(self.partition, TwoPhase) else None
            point |= {"agents": 1, "partition": phased, "task": self.task.shared()}
        point["training"] = self.training.model_copy(update=usual)
        return Pretrained.model_construct(**point)


class Tuned(Run):
    """The choice of a learning rate for all runs that differ only in their seed."""

    tuning: Tuning  # pyright: ignore[reportIncompatibleVariableOverride]  # frozen, so narrower is safe

    @property
    def first_trial(self) -> Run:
        """One of the trials, which differ in nothing but their learning rate."""
        return next(iter(self.trials().values()))

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
