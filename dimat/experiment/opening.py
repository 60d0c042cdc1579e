"""What a job works with: agents, method and links, as they are at first or as a checkpoint left them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from dimat.agents.checkpoint import Checkpoint
from dimat.agents.networks import Networks
from dimat.agents.optimizers import AnyOptimizer
from dimat.communication.communicator import Communicator
from dimat.data.augmentation import Augmentation
from dimat.data.partitions import Shares
from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.experiment.devices import choose_device, prepare_device
from dimat.experiment.kept import KeptData
from dimat.experiment.layout import Layout
from dimat.experiment.measure import measure
from dimat.experiment.measures import due
from dimat.experiment.records import Measurement
from dimat.experiment.runs import Pretrained, Run, Tuned
from dimat.experiment.sources import check_sources, sources_of
from dimat.io.files import file_sha256, read_json, read_tensors
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.methods import Method


@dataclass(frozen=True)
class Opener:
    """Opens what the jobs of one study work with; data that one has read, the next need not read."""

    study: Study
    layout: Layout
    kept: KeptData = field(default_factory=KeptData)

    def opened(
        self, run: Run, checkpoint: Checkpoint
    ) -> tuple[Method, Networks, Communicator, dict[str, Any]]:
        """A run where its checkpoint left it, or at its start: method, agents, communicator and progress."""
        method = self.method_of(run)
        device = choose_device(self.study.device, self.layout.locks)
        arrivals = run.graph.arrivals(run.agents, run.randomness) if run.graph else None
        communicator = self.study.communication.open(
            _matrices(run), mean_matrix(run), device, arrivals.at if arrivals else None
        )
        optimizer = method.optimizer_of(run.training)
        agents = self.agents_of(run, optimizer, communicator.local_agents)
        agents.state.declare(method.keeps)
        if (saved := checkpoint.load()) is not None:
            tensors, progress = saved
            restore(agents, tensors, checkpoint.path)
            communicator.resume(progress["communication"])
            communicator.load_tensors(tensors, agents.device)
            agents.steps_taken = [progress["steps_taken"][agent] for agent in agents.local_agents]
            measured = [Measurement(*row) for row in progress["measurements"]]
            return method, agents, communicator, progress | {"measurements": measured}
        self._load_start(agents, run.pretrained)
        measured = measured_of(run, agents, communicator, 0, "start")
        progress = {"rounds": 0, "seconds": 0.0, "resumed": 0, "made_on": [], "measurements": measured}
        return method, agents, communicator, progress

    def method_of(self, run: Run) -> Method:
        """The method of a run, with the learning rate that was chosen for it."""
        if run.tuned is None:
            return run.method
        factor = self.check_choice(run.tuned)
        return run.method.with_rate(run.method.rate(run.training) * factor, run.training)

    def check_choice(self, tuned: Tuned) -> float:
        """The chosen factor; `InputError` if the choice is another one, or was made from other trials."""
        path = self.layout.tuned(tuned.id)
        choice = read_json(path)
        if choice.get("id") != tuned.id:
            raise InputError(f"{path}: holds another choice, {choice.get('id')}; delete it and run again")
        trials = [self.layout.run(trial.id) for trial in tuned.trials().values()]
        for tried, records in zip(choice["trials"], trials, strict=True):
            found = {"trial": file_sha256(records)} if tried["records"] and records.exists() else {}
            check_sources(path, {"trial": tried["records"]}, found)
        return choice["factor"]

    def agents_of(
        self,
        start: Pretrained,
        optimizer: AnyOptimizer | None = None,
        local_agents: Sequence[int] | None = None,
    ) -> Networks:
        """The agents of a start or a run with their images, as initialized."""
        torch.set_num_threads(self.study.threads)
        device = choose_device(self.study.device, self.layout.locks)
        prepare_device(device, self.study.deterministic)
        training = start.training
        data = self.kept.load(self.layout.prepared(start.partitioned.prepared.id), device)
        path = self.layout.partitioned(start.partitioned.id)
        task = start.task.task(
            start.model,
            data.images,
            Shares.load(path, data.fingerprint, len(data.images.train_labels)),
            Augmentation(start.data.flip, start.data.crop),
            start.randomness,
            batch_size=training.batch_size,
            same_start=training.start == "same",
            precision=training.precision,
        )
        recorded = self.study.cuda_graphs and device.type == "cuda"
        agents = Networks(task, training, start.randomness, optimizer, local_agents, recorded=recorded)
        agents.attack = start.attack if isinstance(start, Run) else None
        agents.goes_on = self.study.divergence == "recorded" and isinstance(start, Run)
        return agents

    def started(self, start: Pretrained) -> Networks:
        """The agents of a start as `pretrain` has left them, before the first merge."""
        agents = self.agents_of(start)
        self._load_start(agents, start)
        return agents

    def _load_start(self, agents: Networks, start: Pretrained) -> None:
        path = self.layout.pretrained(start.id)
        tensors, about = read_tensors(path)
        self.check_start(start, about)
        if start.agents < agents.agents:  # one network for all
            tensors = {
                f"{agent}/{name.partition('/')[2]}": tensor
                for agent in range(agents.agents)
                for name, tensor in tensors.items()
            }
        restore(agents, tensors, path)

    def check_start(self, start: Pretrained, about: object) -> None:
        """`InputError` if what its file says ``about`` itself is not this start, of what there is now."""
        path = self.layout.pretrained(start.id)
        if not isinstance(about, dict) or about.get("start") != start.id:
            raise InputError(f"{path}: the start of another experiment; delete it and run again")
        check_sources(path, about.get("made_from"), sources_of(start, self.layout))

    def checkpoint_of(self, experiment: Pretrained, path: Path | None = None) -> Checkpoint:
        """The checkpoint of a start or a run, at ``path`` if that is elsewhere."""
        described = experiment.model_dump(mode="json")
        path = path or self.layout.checkpoint(experiment.id)
        made_from = sources_of(experiment, self.layout)
        return Checkpoint(path, described, made_from, self.study.checkpoint_seconds)


def measured_of(
    run: Run,
    agents: Networks,
    communicator: Communicator,
    round: int,
    stage: str,
    diagnostics: Sequence[Diagnostic] = (),
) -> list[Measurement]:
    """What a run records at one stage of a round."""
    asked = due(run.measures, round, stage, run.training.rounds)
    decay = run.method.weight_decay_in(run.training)
    return measure(agents, communicator, round, stage, diagnostics, asked, run.calibration, decay)


def _matrices(run: Run) -> Callable[[int], numpy.ndarray]:
    """The mixing matrix of each communication."""
    graph = run.graph
    if graph is None:
        return lambda time: numpy.eye(run.agents)
    return lambda time: graph.mixing_at(run.agents, time, run.randomness)


def mean_matrix(run: Run) -> numpy.ndarray:
    """The mean mixing matrix of a period without failures."""
    return run.graph.mixing_matrix(run.agents) if run.graph else numpy.eye(run.agents)


def restore(agents: Networks, tensors: dict[str, Tensor], path: Path) -> None:
    """Give agents what a file at ``path`` holds of them; `InputError` if that is of other networks."""
    try:
        agents.load_tensors(tensors)
    except ValueError as error:
        raise InputError(f"{path}: holds other networks ({error}); delete it and run again") from None
