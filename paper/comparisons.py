"""Which runs are compared: those of one figure, and pairs that differ in one thing. No results are needed."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dimat.experiment.config import AXES, Study
from dimat.experiment.runs import Pretrained, Run
from dimat.experiment.words import said
from dimat.merging.matching.options import Matching
from dimat.methods.dimat import Dimat
from dimat.methods.weight_averaging import WeightAveraging
from dimat.tasks import Classification, Metric

Value = TypeVar("Value")


@dataclass(frozen=True)
class Comparison:
    """All runs of one task, data set, model, protocol and number of agents, with pooled training."""

    name: str
    agents: int
    runs: dict[str, Run]

    @property
    def metric(self) -> Metric:
        """The primary metric of the task."""
        return self._first.task.metric

    def words(self) -> str:
        """What all of its runs have in common, for captions."""
        run = self._first
        used = [each.calibration for each in self.runs.values() if each.calibration]
        values = {key: {getattr(each, key) for each in used} for key in ("repair", "images")}
        alike = [said(f"calibration.{key}", *found) for key, found in values.items() if len(found) == 1]
        task = "" if isinstance(run.task, Classification) else said("task.name", run.task.name)
        setting = [run.data.label(), run.model.label(), task, f"{self.agents} agents", run.protocol]
        return ", ".join(filter(None, [*setting, *alike]))

    @property
    def _first(self) -> Run:
        return next(iter(self.runs.values()))

    @property
    def has_others(self) -> bool:
        """Whether there are methods beside merging once in a round, and never: those of other papers."""
        methods = [run.method for run in self.runs.values()]
        return any(
            each.communicates != "never" and not isinstance(each, Dimat | WeightAveraging) for each in methods
        )

    def against_reference(self) -> list[tuple[str, str]]:
        """Pairs (other, reference) of ids in one setting, of one seed; the reference is its first DIMAT."""
        references: dict[Any, tuple[Run, dict[int, str]]] = {}
        for id, run in self.runs.items():
            if isinstance(run.method, Dimat):
                first, by_seed = references.setdefault((run.graph, run.partition), (like(run, seed=0), {}))
                if like(run, seed=0) == first:
                    by_seed[run.seed] = id
        return [
            (id, by_seed[run.seed])
            for (graph, partition), (_, by_seed) in references.items()
            for id, run in self.runs.items()
            if run.graph in (None, graph) and run.partition in (None, partition)
            if run.seed in by_seed and id not in by_seed.values()
        ]


def comparisons(study: Study) -> list[Comparison]:
    """All comparisons of a study; pooled training is in each, and has one where nothing else is."""
    by_key: dict[Any, dict[str, Run]] = {}
    for id, run in study.runs.items():
        by_key.setdefault((run.task, run.data, run.model, run.protocol), {})[id] = run
    found = {}
    for key, ids in by_key.items():
        dealt_out = [run for run in ids.values() if run.partition]
        for run in dealt_out or ids.values():
            found.setdefault((*key, run.agents), key)
    named = []
    for (_, data, model, protocol, agents), key in found.items():
        ids = {id: run for id, run in by_key[key].items() if run.agents == agents or not run.partition}
        words = [data.name, model.name, str(agents), protocol.replace(" ", "-")]
        named.append(("-".join(filter(None, words)), (agents, ids)))
    return [Comparison(name, *rest) for name, rest in numbered(named).items()]


def like(run: Run, **changes: Any) -> Run:
    """The same run with some things changed, whatever is recorded of it."""
    same: dict[str, Any] = {name: getattr(run, name) for name in Run.model_fields}
    same |= {"measures": (), **changes}
    return Run(**same)


def by_experiment(runs: Mapping[str, Run]) -> dict[str, str]:
    """Ids of ``runs`` by those of the runs of which nothing more is recorded, as `like` makes them."""
    return {run.experiment_id: id for id, run in runs.items()}


def alike(runs: Mapping[str, Pretrained]) -> dict[str, list[str]]:
    """Ids of ``runs``, or of starts, in groups that differ in the seed alone."""
    found: dict[str, list[str]] = {}
    for id, run in runs.items():
        same = run.measuring(()) if isinstance(run, Run) else run
        found.setdefault(same.model_copy(update={"seed": 0}).id, []).append(id)
    return found


def seeds_said(runs: Iterable[Run]) -> str:
    """What bands over seeds show, and how many seeds there are."""
    groups = alike({run.id: run for run in runs})
    counts = {len(ids) for ids in groups.values()}
    if counts == {1}:
        return "here of one seed, so without intervals"
    alone = "; lines of one seed have none" if 1 in counts else ""
    return f"bands their 95 % t-intervals (n = {span(counts)} seeds{alone})"


def span(counts: Iterable[int]) -> str:
    """How many there are of something, where that differs from place to place: "3", or "3 to 6"."""
    found = sorted(set(counts))
    return f"{found[0]} to {found[-1]}" if len(found) > 1 else f"{found[0]}"


def unmatched(run: Run) -> Run:
    """The run that averages without matching, and is like a ``run`` of DIMAT in all else."""
    options = {name: getattr(run.method, name) for name in type(run.method).model_fields if name != "name"}
    method = WeightAveraging(**options)
    point = {axis: getattr(run, axis) for axis in AXES} | {"method": method}
    return like(run, **method.canonical(point))


def with_unmatched(study: Study) -> list[tuple[str, str]]:
    """Pairs (DIMAT, averaging) of ids: alike in all but matching, the seed among it."""
    known = by_experiment(study.runs)
    pairs = ((id, unmatched(run).id) for id, run in study.runs.items() if isinstance(run.method, Dimat))
    return [(own, known[other]) for own, other in pairs if other in known]


def ways_of_matching(study: Study) -> list[list[str]]:
    """Groups of ids, alike in all but matching and seed, that match in more than one way, or not at all."""
    runs, known = study.runs, by_experiment(study.runs)
    groups: dict[str, list[str]] = {}
    for id, run in runs.items():
        if isinstance(run.method, Dimat):
            group = groups.setdefault(like(run, matching=Matching(), seed=0).id, [])
            group += [id, *(known[other] for other in [unmatched(run).id] if other in known)]
    several = (group for group in groups.values() if len(distinct(runs[id].matching for id in group)) > 1)
    return [distinct(group) for group in several]


def distinct(values: Iterable[Value]) -> list[Value]:
    """The values without repetitions, in order."""
    return list(dict.fromkeys(values))


def numbered(named: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """Values by name; a second one of the same name gets a number."""
    found: dict[str, Value] = {}
    for name, value in named:
        names = (name if number == 1 else f"{name}-{number}" for number in itertools.count(1))
        found[next(unique for unique in names if unique not in found)] = value
    return found
