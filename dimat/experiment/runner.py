"""The runner: everything around a method that is not the method.

It prepares data, pre-trains, consumes a method's generator, evaluates, records, checkpoints and
resumes. A job that is killed and started again gives the records of an undisturbed one, bit for bit:
randomness depends on no history, and a checkpoint holds all other state.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
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
from dimat.communication.communicator import Communicator
from dimat.communication.options import InProcessOptions
from dimat.data import DataFolders, ImageSet
from dimat.data.augmentation import Augmentation
from dimat.data.partitions import Shares, whole
from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.experiment.devices import choose_device, prepare_device
from dimat.experiment.interruption import Interrupted, asked_to_leave
from dimat.experiment.kept import KeptData
from dimat.experiment.layout import Layout
from dimat.experiment.logs import Kind, Note, noted
from dimat.experiment.measure import measure, summary
from dimat.experiment.measures import due
from dimat.experiment.outlines import data_outline
from dimat.experiment.provenance import now, peak_memory, with_machine
from dimat.experiment.records import Measurement, final_value, first_difference, records_csv
from dimat.experiment.runs import Partitioned, Prepared, Pretrained, Run, Tuned
from dimat.experiment.sources import check_sources, read_made, sources_of
from dimat.experiment.tuning import best
from dimat.io.files import (
    file_sha256,
    read_about,
    read_checked,
    read_json,
    read_tensors,
    remove,
    tensors_sha256,
    write_checked,
    write_json,
    write_tensors,
)
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.methods import Method
from dimat.randomness import Randomness

log = logging.getLogger("dimat")


def machines_said(made: Mapping[str, Any]) -> str:
    """What a run was carried out with, as its ``run.json`` says it."""
    return "; ".join(
        f"torch {each['versions']['torch']}, {each['device']}, threads {each['threads']}"
        for each in made["made_on"]
    )


@dataclass(frozen=True)
class Runner:
    """Carries out the parts of one study; data that one job has read, the next need not read."""

    study: Study
    layout: Layout
    kept: KeptData = field(default_factory=KeptData)
    log: Kind | None = None
    """Where runs are logged besides; trials are not."""

    def prepare(self, prepared: Prepared) -> None:
        """Read, check and decode a data set."""
        images = prepared.data.prepared(DataFolders.from_environment(self.layout.downloads))
        images.save(self.layout.prepared(prepared.id))
        log.info(
            "%s; %d test images, %d classes", images.description, len(images.test_labels), len(images.classes)
        )

    def check_prepared(self, prepared: Prepared) -> None:
        """`InputError` if a data set was read from other files than are there now."""
        path, folders = self.layout.prepared(prepared.id), DataFolders.from_environment(self.layout.downloads)
        if prepared.data.located(folders) is None:
            return  # what was read is not at hand any more
        read = read_about(path)["source"].get("content")
        check_sources(path, {"data file": read}, {"data file": prepared.data.content(folders)})

    def check_partition(self, partitioned: Partitioned) -> None:
        """`InputError` if a partition is that of other images than are there now."""
        path, data = self.layout.partitioned(partitioned.id), partitioned.prepared.id
        if not (self.layout.prepared(data).exists() or self.layout.data_outline(data).exists()):
            return  # finished runs need no images any more
        fingerprint = data_outline(self.layout, data)["about"]["fingerprint"]
        check_sources(path, {"data": read_json(path).get("fingerprint")}, {"data": fingerprint})

    def partition(self, partitioned: Partitioned) -> None:
        """Deal a data set out to agents."""
        path = self.layout.partitioned(partitioned.id)
        content = self.dealt(partitioned)
        write_json(path, content)
        log.info("images of each agent: %s", [len(own["images"]) for own in content["train"]])

    def dealt(self, partitioned: Partitioned) -> dict[str, Any]:
        """The content of a partition's file."""
        path = self.layout.prepared(partitioned.prepared.id)
        data = self.kept.load(path, torch.device("cpu"))
        images, labels = data.images, data.images.train_labels.numpy()
        if partitioned.partition is None:
            shares = whole(len(labels))
        else:
            generator = Randomness(partitioned.data.name, partitioned.seed).numpy("partition")
            shares = partitioned.partition.shares(labels, partitioned.agents, generator)
        return shares.content(partitioned.id, data.fingerprint, labels, images.classes)

    def pretrain(self, start: Pretrained) -> None:
        """Train the agents apart and keep their networks."""
        path = self.layout.pretrained(start.id)
        replaces = path.exists()
        agents = self._agents(start)
        checkpoint = self._checkpoint(start)
        done, made_on = 0, []
        if (saved := checkpoint.load()) is not None:
            tensors, progress = saved
            self._restore(agents, tensors, checkpoint.path)
            done, made_on = progress["epochs"], progress["made_on"]
            log.info("resumed after epoch %d", done)
        made_on = with_machine(made_on, done + 1, agents.device)
        last = start.training.pretrain_epochs
        for epoch in tqdm(range(done, last), "pre-training", unit="epoch", disable=None, leave=False):
            agents.pretrain(epoch)
            log.info("epoch %d of %d done", epoch + 1, last)
            leave = asked_to_leave(checkpoint.took) and epoch + 1 < last
            if checkpoint.due() or leave:
                progress = {"epochs": epoch + 1, "made_on": made_on}
                checkpoint.save(agents.tensors(optimizers=True), progress)
            if leave:
                raise Interrupted(f"asked to leave; run again to go on after epoch {epoch + 1}")
        networks = agents.tensors(optimizers=False)
        about = {"start": start.id, "made_from": checkpoint.made_from, "networks": tensors_sha256(networks)}
        if replaces or not path.exists():  # another study may have made it meanwhile, and runs from it
            write_tensors(path, networks, about | {"made_on": made_on})
        self.settle(start)

    def tune(self, tuned: Tuned) -> None:
        """Carry out the trials of a choice that are not there yet, and keep what was best."""
        values: dict[float, float | None] = {}
        records: dict[float, str | None] = {}
        metric = tuned.task.metric
        trials = replace(self.in_one_program(keep_checkpoints=False, divergence="refused"), log=None)
        for factor, trial in tuned.trials().items():
            path = self.layout.run(trial.id)
            try:
                if not path.exists():
                    if asked_to_leave():
                        raise Interrupted(f"asked to leave; run again to go on with {trial.id}")
                    trials.train(trial)
                trials.settle(trial)
                values[factor] = final_value(path, trial.training.rounds, metric.name)
                records[factor] = file_sha256(path)
            except Diverged as error:
                log.info("%s", error)
                values[factor] = records[factor] = None
        factor = best(values, metric)
        log.info("%s on held-out images, by factor: %s; chosen: %g", metric.title, values, factor)
        tried = [{"factor": each, "value": value, "records": records[each]} for each, value in values.items()]
        write_json(self.layout.tuned(tuned.id), {"id": tuned.id, "factor": factor, "trials": tried})

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

    def train(self, run: Run) -> None:
        """Merge and train from a start, and record what is measured."""
        with noted(self.log, run, self.layout.logged) as note:
            self._train(run, note)

    def _train(self, run: Run, note: Note) -> None:
        began, began_at = time.perf_counter(), now()
        path = self.layout.run(run.id)
        replaces = path.exists()
        checkpoint = self._checkpoint(run)
        keeps = run.training.optimizer_state == "kept"
        method, agents, communicator, progress = self._open(run, checkpoint)
        done, seconds, resumed = progress["rounds"], progress["seconds"], progress["resumed"]
        began_at = progress.get("began", began_at)
        made_on = with_machine(progress["made_on"], done + 1, agents.device, seconds)
        measurements: list[Measurement] = progress["measurements"]
        if done:
            resumed += 1
            log.info("resumed after round %d", done)
        elif communicator.is_main:
            note(measurements)

        last = run.training.rounds
        stages = method.rounds(agents, communicator, run.merging, first=done + 1, last=last)
        silent = None if communicator.is_main else True
        bar = tqdm(total=last, initial=done, desc=method.title, unit="round", disable=silent, leave=False)
        for round, stage, diagnostics in stages:
            new = self._measured(run, agents, communicator, round, stage, diagnostics)
            measurements += new
            if communicator.is_main:
                log.info("round %d of %d, %s: %s", round, last, stage, summary(new, run.task.metric))
                note(new)
            bar.update(stage == "merged")
            if stage != "trained":
                continue
            due = checkpoint.due() or (self.study.keep_checkpoints and round == last - 1)
            asked = asked_to_leave(checkpoint.took)
            wishes = communicator.collect(dict.fromkeys(agents.local_agents, (due, asked)))
            leave = any(asked for _, asked in wishes.values())
            if wishes[0][0] or leave:
                steps = communicator.collect(dict(zip(agents.local_agents, agents.steps_taken, strict=True)))
                progress = {
                    "rounds": round,
                    "seconds": seconds + time.perf_counter() - began,
                    "resumed": resumed,
                    "began": began_at,
                    "made_on": made_on,
                    "measurements": [astuple(row) for row in measurements],
                    "communication": communicator.progress(),
                    "steps_taken": [steps[agent] for agent in sorted(steps)],
                }
                tensors = communicator.gather(agents.tensors(optimizers=keeps) | communicator.tensors())
                if communicator.is_main:
                    checkpoint.save(tensors, progress)
            if leave:
                communicator.collect({})  # nobody leaves before the checkpoint is written
                raise Interrupted(f"asked to leave; run again to go on after round {round}")
        bar.close()

        if communicator.is_main:
            records = records_csv(run.id, measurements)
            data = self.kept.load(self.layout.prepared(run.partitioned.prepared.id), agents.device)
            made = {
                **self.described(run, data.images, method),
                "made_from": checkpoint.made_from,
                "made_on": made_on,
                "records": hashlib.sha256(records).hexdigest(),
                "began": began_at,
                "ended": now(),
                "seconds": seconds + time.perf_counter() - began,
                "resumed": resumed,
                "peak_memory_bytes": peak_memory(agents.device),
            }
            if replaces or not path.exists():  # another study may have made it meanwhile
                remove(self.layout.last_round(run.id))  # of the run that this one replaces
                write_json(self.layout.run_provenance(run.id), made)
                write_checked(path, records)
            self.settle(run)
        communicator.collect({})  # all go on together, when everything is written

    def described(self, run: Run, data: ImageSet, method: Method | None = None) -> dict[str, Any]:
        """What a run is: the experiment as resolved, what was read, the graph."""
        method = method or self._method(run)
        return {
            "run": run.id,
            "experiment": run.model_dump(mode="json"),
            "method": method.model_dump(mode="json"),
            "learning_rate": method.rate(run.training),
            "metric": run.task.metric._asdict() | {"examples": len(data.test_labels)},
            "data": {"description": data.description, "source": data.source},
            "graph": self._describe_graph(run),
            **({"not_measured": [run.attack.agent]} if run.attack else {}),
            "communication": self.study.communication.model_dump(mode="json"),
        }

    def settle(self, done: Pretrained) -> None:
        """Remove or keep the checkpoint of a job that is done, also of one that was killed just then.

        `InputError` if what the job was made from is not what there is now.
        """
        if isinstance(done, Run):
            read_made(done, self.layout)
        else:
            self._check_start(done, read_about(self.layout.pretrained(done.id)))
        keep = isinstance(done, Run) and self.study.keep_checkpoints
        self._checkpoint(done).finish(self.layout.last_round(done.id) if keep else None)

    def repeat(self, run: Run) -> str | None:
        """Carry out the last round of a finished run again; the first number that differs, if any."""
        stored = read_checked(self.layout.run(run.id))
        made = read_json(self.layout.run_provenance(run.id))
        last = run.training.rounds
        checkpoint = self._checkpoint(run, self.layout.last_round(run.id))
        method, agents, communicator, progress = self.in_one_program()._open(run, checkpoint)
        measurements = progress["measurements"]
        for round, stage, diagnostics in method.rounds(agents, communicator, run.merging, last, last):
            measurements += self._measured(run, agents, communicator, round, stage, diagnostics)
        difference = first_difference(stored, records_csv(run.id, measurements))
        return None if difference is None else f"{difference} (recorded with {machines_said(made)})"

    def in_one_program(self, **changes: Any) -> "Runner":
        """The same with all agents in this process, and with ``changes`` of the study."""
        study = self.study.model_copy(update={"communication": InProcessOptions(), **changes})
        return replace(self, study=study)

    def _open(
        self, run: Run, checkpoint: Checkpoint
    ) -> tuple[Method, Networks, Communicator, dict[str, Any]]:
        """A run where its checkpoint left it, or at its start: method, agents, communicator and progress."""
        method = self._method(run)
        device = choose_device(self.study.device, self.layout.locks)
        arrivals = run.graph.arrivals(run.agents, run.randomness) if run.graph else None
        communicator = self.study.communication.open(
            self._matrices(run), self._whole(run), device, arrivals.at if arrivals else None
        )
        optimizer = method.optimizer_of(run.training)
        agents = self._agents(run, optimizer, communicator.local_agents)
        agents.state.declare(method.keeps)
        if (saved := checkpoint.load()) is not None:
            tensors, progress = saved
            self._restore(agents, tensors, checkpoint.path)
            communicator.resume(progress["communication"])
            communicator.load_tensors(tensors, agents.device)
            agents.steps_taken = [progress["steps_taken"][agent] for agent in agents.local_agents]
            measured = [Measurement(*row) for row in progress["measurements"]]
            return method, agents, communicator, progress | {"measurements": measured}
        self._load_start(agents, run.pretrained)
        measured = self._measured(run, agents, communicator, 0, "start")
        progress = {"rounds": 0, "seconds": 0.0, "resumed": 0, "made_on": [], "measurements": measured}
        return method, agents, communicator, progress

    @staticmethod
    def _measured(
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

    def _method(self, run: Run) -> Method:
        """The method of a run, with the learning rate that was chosen for it."""
        if run.tuned is None:
            return run.method
        factor = self.check_choice(run.tuned)
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
        agents = self._agents(start)
        self._load_start(agents, start)
        return agents

    def _load_start(self, agents: Networks, start: Pretrained) -> None:
        path = self.layout.pretrained(start.id)
        tensors, about = read_tensors(path)
        self._check_start(start, about)
        if start.agents < agents.agents:  # one network for all
            tensors = {
                f"{agent}/{name.partition('/')[2]}": tensor
                for agent in range(agents.agents)
                for name, tensor in tensors.items()
            }
        self._restore(agents, tensors, path)

    def _check_start(self, start: Pretrained, about: object) -> None:
        path = self.layout.pretrained(start.id)
        if not isinstance(about, dict) or about.get("start") != start.id:
            raise InputError(f"{path}: the start of another experiment; delete it and run again")
        check_sources(path, about.get("made_from"), sources_of(start, self.layout))

    def _checkpoint(self, experiment: Pretrained, path: Path | None = None) -> Checkpoint:
        described = experiment.model_dump(mode="json")
        path = path or self.layout.checkpoint(experiment.id)
        made_from = sources_of(experiment, self.layout)
        return Checkpoint(path, described, made_from, self.study.checkpoint_seconds)

    @staticmethod
    def _restore(agents: Networks, tensors: dict[str, Tensor], path: Path) -> None:
        try:
            agents.load_tensors(tensors)
        except ValueError as error:
            raise InputError(f"{path}: holds other networks ({error}); delete it and run again") from None
