"""The runner: everything around a method that is not the method.

It prepares data, pre-trains, consumes a method's generator, evaluates, records, checkpoints and
resumes. A job that is killed and started again gives the records of an undisturbed one, bit for bit:
randomness depends on no history, and a checkpoint holds all other state.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor
from tqdm import tqdm

from dimat.agents.agents import Diverged
from dimat.agents.checkpoint import Checkpoint
from dimat.agents.networks import Networks
from dimat.agents.optimizers import AnyOptimizer
from dimat.agents.training import Training
from dimat.communication.communicator import Communicator
from dimat.communication.options import InProcessOptions
from dimat.data import DataFolders, ImageSet
from dimat.data.augmentation import Augmentation
from dimat.data.partitions import Shares, whole
from dimat.errors import InputError
from dimat.experiment.config import Partitioned, Prepared, Pretrained, Run, Study, Tuned
from dimat.experiment.devices import choose_device
from dimat.experiment.interruption import Interrupted, asked_to_leave
from dimat.experiment.layout import Layout
from dimat.experiment.measure import measure, summary
from dimat.experiment.provenance import machine
from dimat.experiment.records import Measurement, final_value, first_difference, records_csv
from dimat.experiment.tuning import best
from dimat.io.files import read_checked, read_json, read_tensors, write_checked, write_json, write_tensors
from dimat.methods import Method
from dimat.randomness import Randomness
from dimat.tasks.images import ImageTask

log = logging.getLogger("dimat")


@dataclass(frozen=True)
class Runner:
    """Carries out the parts of one study."""

    study: Study
    layout: Layout

    def prepare(self, prepared: Prepared) -> None:
        """Read, check and decode a data set."""
        images = prepared.data.prepared(DataFolders.from_environment(self.layout.downloads))
        images.save(self.layout.prepared(prepared.id))
        log.info(
            "%s; %d test images, %d classes", images.description, len(images.test_labels), len(images.classes)
        )

    def partition(self, partitioned: Partitioned) -> None:
        """Deal a data set out to agents."""
        images = ImageSet.load(self.layout.prepared(partitioned.prepared.id))
        labels = images.train_labels.numpy()
        if partitioned.partition is None:
            shares = whole(len(labels))
        else:
            generator = Randomness(partitioned.data.name, partitioned.seed).numpy("partition")
            shares = partitioned.partition.shares(labels, partitioned.agents, generator)
        path = self.layout.partitioned(partitioned.id)
        shares.save(path, images.fingerprint(), labels, images.classes)
        log.info("images of each agent: %s", [len(own) for own in shares.train])

    def pretrain(self, start: Pretrained) -> None:
        """Train the agents apart and keep their networks."""
        agents = self._agents(start)
        checkpoint = self._checkpoint(start)
        done = 0
        if (saved := checkpoint.load()) is not None:
            tensors, progress = saved
            self._restore(agents, tensors, checkpoint.path)
            done = progress["epochs"]
            log.info("resumed after epoch %d", done)
        last = start.training.pretrain_epochs
        for epoch in tqdm(range(done, last), "pre-training", unit="epoch", disable=None):
            agents.pretrain(epoch)
            log.info("epoch %d of %d done", epoch + 1, last)
            leave = asked_to_leave() and epoch + 1 < last
            if checkpoint.due() or leave:
                checkpoint.save(agents.tensors(optimizers=True), {"epochs": epoch + 1})
            if leave:
                raise Interrupted(f"asked to leave; run again to go on after epoch {epoch + 1}")
        path = self.layout.pretrained(start.id)
        write_tensors(path, agents.tensors(optimizers=False), {"start": start.id})
        self.settle(start)

    def tune(self, tuned: Tuned) -> None:
        """Carry out the trials of a choice that are not there yet, and keep what was best."""
        values: dict[float, float | None] = {}
        metric = tuned.task.metric
        trials = self._in_one_program(keep_checkpoints=False)
        for factor, trial in tuned.trials().items():
            path = self.layout.run(trial.id)
            try:
                if not path.exists():
                    trials.train(trial)
                trials.settle(trial)
                values[factor] = final_value(path, trial.training.rounds, metric.name)
            except Diverged as error:
                log.info("%s", error)
                values[factor] = None
        factor = best(values, metric)
        log.info("%s on held-out images, by factor: %s; chosen: %g", metric.title, values, factor)
        tried = [{"factor": factor, "value": value} for factor, value in values.items()]
        write_json(self.layout.tuned(tuned.id), {"factor": factor, "trials": tried})

    def train(self, run: Run) -> None:
        """Merge and train from a start, and record what is measured."""
        began = time.perf_counter()
        checkpoint = self._checkpoint(run)
        keeps = run.training.optimizer_state == "kept"
        method, agents, communicator, progress = self._open(run, checkpoint)
        done, seconds, resumed = progress["rounds"], progress["seconds"], progress["resumed"]
        measurements: list[Measurement] = progress["measurements"]
        if done:
            resumed += 1
            log.info("resumed after round %d", done)

        last = run.training.rounds
        stages = method.rounds(agents, communicator, run.merging, first=done + 1, last=last)
        silent = None if communicator.is_main else True
        bar = tqdm(total=last, initial=done, desc=method.title, unit="round", disable=silent)
        for round, stage, diagnostics in stages:
            new = measure(agents, communicator, round, stage, diagnostics)
            measurements += new
            if communicator.is_main:
                log.info("round %d of %d, %s: %s", round, last, stage, summary(new, run.task.metric))
            bar.update(stage == "merged")
            if stage != "trained":
                continue
            due = checkpoint.due() or (self.study.keep_checkpoints and round == last - 1)
            wishes = communicator.collect(dict.fromkeys(agents.local_agents, (due, asked_to_leave())))
            leave = any(asked for _, asked in wishes.values())
            if wishes[0][0] or leave:
                steps = communicator.collect(dict(zip(agents.local_agents, agents.steps_taken, strict=True)))
                progress = {
                    "rounds": round,
                    "seconds": seconds + time.perf_counter() - began,
                    "resumed": resumed,
                    "measurements": [astuple(row) for row in measurements],
                    "communication": communicator.progress(),
                    "steps_taken": [steps[agent] for agent in sorted(steps)],
                }
                tensors = communicator.collect(agents.tensors(optimizers=keeps))
                if communicator.is_main:
                    checkpoint.save(tensors, progress)
            if leave:
                communicator.collect({})  # nobody leaves before the checkpoint is written
                raise Interrupted(f"asked to leave; run again to go on after round {round}")
        bar.close()

        if communicator.is_main:
            spent = {"seconds": seconds + time.perf_counter() - began, "resumed": resumed}
            made = self._provenance(run, method, agents) | spent
            write_json(self.layout.run_provenance(run.id), made)
            write_checked(self.layout.run(run.id), records_csv(run.id, measurements))
            self.settle(run)
        communicator.collect({})  # all go on together, when everything is written

    def _provenance(self, run: Run, method: Method, agents: Networks) -> dict[str, Any]:
        """What made a run: the experiment as resolved, what was read, the graph, the machine."""
        task = agents.task
        assert isinstance(task, ImageTask)
        return {
            "run": run.id,
            "experiment": run.model_dump(mode="json"),
            "method": method.model_dump(mode="json"),
            "learning_rate": method.rate(run.training),
            "metric": run.task.metric._asdict(),
            "data": {"description": task.data.description, "source": task.data.source},
            "graph": self._describe_graph(run),
            "communication": self.study.communication.model_dump(mode="json"),
            **machine(agents.device),
        }

    def settle(self, done: Pretrained) -> None:
        """Remove or keep the checkpoint of a job that is done, also of one that was killed just then."""
        keep = isinstance(done, Run) and self.study.keep_checkpoints
        self._checkpoint(done).finish(self.layout.last_round(done.id) if keep else None)

    def verify(self, run: Run) -> str | None:
        """Carry out the last round of a finished run again; the first number that differs, if any."""
        stored = read_checked(self.layout.run(run.id))
        made = read_json(self.layout.run_provenance(run.id))
        last = run.training.rounds
        checkpoint = self._checkpoint(run, self.layout.last_round(run.id))
        if last > 1 and not checkpoint.path.exists():
            raise InputError(
                f"{checkpoint.path}: no such file; set keep_checkpoints: true, delete "
                f"{self.layout.run(run.id)} and train again to keep it"
            )
        method, agents, communicator, progress = self._in_one_program()._open(run, checkpoint)
        measurements = progress["measurements"]
        for round, stage, diagnostics in method.rounds(agents, communicator, run.merging, last, last):
            measurements += measure(agents, communicator, round, stage, diagnostics)
        difference = first_difference(stored, records_csv(run.id, measurements))
        if difference is None:
            return None
        torch_version = made["versions"]["torch"]
        return (
            f"{difference} (recorded with torch {torch_version}, {made['device']}, threads {made['threads']})"
        )

    def _in_one_program(self, **changes: Any) -> "Runner":
        study = self.study.model_copy(update={"communication": InProcessOptions(), **changes})
        return replace(self, study=study)

    def _open(
        self, run: Run, checkpoint: Checkpoint
    ) -> tuple[Method, Networks, Communicator, dict[str, Any]]:
        """A run where its checkpoint left it, or at its start: method, agents, communicator and progress."""
        method = self._method(run)
        device = choose_device(self.study.device, self.layout.locks)
        communicator = self.study.communication.open(self._matrices(run), self._whole(run), device)
        optimizer = method.optimizer_of(run.training)
        agents = self._agents(run.pretrained, run.training, optimizer, communicator.local_agents)
        agents.state.declare(method.keeps)
        if (saved := checkpoint.load()) is not None:
            tensors, progress = saved
            self._restore(agents, tensors, checkpoint.path)
            communicator.resume(progress["communication"])
            agents.steps_taken = [progress["steps_taken"][agent] for agent in agents.local_agents]
            measured = [Measurement(*row) for row in progress["measurements"]]
            return method, agents, communicator, progress | {"measurements": measured}
        self._load_start(agents, run.pretrained)
        measured = measure(agents, communicator, 0, "start")
        progress = {"rounds": 0, "seconds": 0.0, "resumed": 0, "measurements": measured}
        return method, agents, communicator, progress

    def _method(self, run: Run) -> Method:
        """The method of a run, with the learning rate that was chosen for it."""
        if run.tuned is None:
            return run.method
        factor = read_json(self.layout.tuned(run.tuned.id))["factor"]
        return run.method.with_rate(run.method.rate(run.training) * factor, run.training)

    @staticmethod
    def _matrices(run: Run) -> Callable[[int], numpy.ndarray]:
        """The mixing matrix of each communication."""
        graph = run.graph
        if graph is None:
            return lambda time: numpy.eye(run.agents)
        return lambda time: graph.mixing_at(run.agents, time, run.randomness)

    @staticmethod
    def _whole(run: Run) -> numpy.ndarray:
        """The mean mixing matrix of a period without failures."""
        return run.graph.mixing_matrix(run.agents) if run.graph else numpy.eye(run.agents)

    @staticmethod
    def _describe_graph(run: Run) -> dict[str, Any]:
        matrix = Runner._whole(run)
        contraction = run.graph.contraction(run.agents) if run.graph else float(run.agents > 1)
        return {
            "mixing_matrix": matrix.tolist(),
            "second_eigenvalue": contraction,
            "spectral_gap": 1 - contraction,
        }

    def _agents(
        self,
        start: Pretrained,
        training: Training | None = None,
        optimizer: AnyOptimizer | None = None,
        local_agents: Sequence[int] | None = None,
    ) -> Networks:
        """The agents of a start with their images, as initialized; trained as ``training`` says."""
        torch.set_num_threads(self.study.threads)
        training = training or start.training
        data = ImageSet.load(self.layout.prepared(start.partitioned.prepared.id))
        path = self.layout.partitioned(start.partitioned.id)
        task = ImageTask(
            start.task,
            start.model,
            data.to(choose_device(self.study.device, self.layout.locks)),
            Shares.load(path, data.fingerprint(), len(data.train_labels)),
            Augmentation(start.data.flip, start.data.crop),
            start.randomness,
            batch_size=training.batch_size,
            same_start=training.start == "same",
            low_precision=training.precision == "bfloat16",
        )
        return Networks(task, training, start.randomness, optimizer, local_agents)

    def started(self, start: Pretrained) -> Networks:
        """The agents of a start as `pretrain` has left them, before the first merge."""
        agents = self._agents(start)
        self._load_start(agents, start)
        return agents

    def _load_start(self, agents: Networks, start: Pretrained) -> None:
        path = self.layout.pretrained(start.id)
        tensors, about = read_tensors(path)
        if about != {"start": start.id}:
            raise InputError(f"{path}: the start of another experiment; delete it and run again")
        self._restore(agents, tensors, path)

    def _checkpoint(self, experiment: Pretrained, path: Path | None = None) -> Checkpoint:
        described = experiment.model_dump(mode="json")
        path = path or self.layout.checkpoint(experiment.id)
        return Checkpoint(path, described, self.study.checkpoint_seconds)

    @staticmethod
    def _restore(agents: Networks, tensors: dict[str, Tensor], path: Path) -> None:
        try:
            agents.load_tensors(tensors)
        except ValueError as error:
            raise InputError(f"{path}: holds other networks ({error}); delete it and run again") from None
