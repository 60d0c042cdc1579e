"""The driver: everything around an algorithm that is not the algorithm.

It prepares data, pre-trains, consumes a method's generator, evaluates, records, checkpoints and
resumes. A job that is killed and started again gives the records of an undisturbed one, bit for bit:
randomness depends on no history, and a checkpoint holds all other state.
"""

import logging
import statistics
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
from dimat.agents.networks import Fleet
from dimat.agents.optimizers import AnyOptimizer
from dimat.agents.training import Training
from dimat.communication.communicator import Network
from dimat.communication.options import IN_PROCESS
from dimat.data import DataFolders, ImageSet
from dimat.data.augmentation import Augmentation
from dimat.data.partitions import Shares, whole
from dimat.errors import InputError
from dimat.experiment.config import Choice, Deal, Run, Source, Start, Study
from dimat.experiment.devices import choose_device
from dimat.experiment.interruption import Interrupted, asked_to_leave
from dimat.experiment.layout import Layout
from dimat.experiment.provenance import machine
from dimat.experiment.records import Measurement, as_csv, final_accuracy, first_difference, write_records
from dimat.experiment.tuning import best
from dimat.io.files import read_checked, read_json, read_tensors, write_json, write_tensors
from dimat.merging.matching.diagnostics import Diagnostic
from dimat.methods import Method
from dimat.randomness import Randomness
from dimat.tasks.evaluation import disagreement, evaluate

log = logging.getLogger("dimat")


@dataclass(frozen=True)
class Driver:
    """Executes the parts of one study."""

    study: Study
    layout: Layout

    def prepare(self, source: Source) -> None:
        """Read, check and decode a data set."""
        images = source.data.prepared(DataFolders.from_environment(self.layout.downloads))
        images.save(self.layout.source(source.id))
        log.info(
            "%s; %d test images, %d classes", images.description, len(images.test_labels), len(images.classes)
        )

    def partition(self, deal: Deal) -> None:
        """Deal a data set out to agents."""
        images = ImageSet.load(self.layout.source(deal.source.id))
        labels = images.train_labels.numpy()
        if deal.partition is None:
            shares = whole(len(labels))
        else:
            generator = Randomness(deal.data.name, deal.seed).numpy("partition")
            shares = deal.partition.shares(labels, deal.agents, generator)
        shares.save(self.layout.deal(deal.id), images.fingerprint(), labels, images.classes)
        log.info("images of each agent: %s", [len(own) for own in shares.train])

    def pretrain(self, start: Start) -> None:
        """Train the agents apart and keep their networks."""
        fleet = self._fleet(start)
        checkpoint = self._checkpoint(start)
        done = 0
        if (saved := checkpoint.load()) is not None:
            tensors, progress = saved
            self._restore(fleet, tensors, checkpoint.path)
            done = progress["epochs"]
            log.info("resumed after epoch %d", done)
        for epoch in tqdm(
            range(done, start.training.pretrain_epochs), "pre-training", unit="epoch", disable=None
        ):
            fleet.pretrain(epoch)
            log.info("epoch %d of %d done", epoch + 1, start.training.pretrain_epochs)
            leave = asked_to_leave() and epoch + 1 < start.training.pretrain_epochs
            if checkpoint.due() or leave:
                checkpoint.save(fleet.tensors(optimizers=True), {"epochs": epoch + 1})
            if leave:
                raise Interrupted(f"asked to leave; run again to go on after epoch {epoch + 1}")
        write_tensors(self.layout.start(start.id), fleet.tensors(optimizers=False), {"start": start.id})
        self.settle(start)

    def tune(self, choice: Choice) -> None:
        """Carry out the trials of a choice that are not there yet, and keep what was best."""
        accuracies: dict[float, float | None] = {}
        trials = self._in_one_program(keep_checkpoints=False)
        for factor, trial in choice.trials().items():
            try:
                if not self.layout.run(trial.id).exists():
                    trials.train(trial)
                trials.settle(trial)
                accuracies[factor] = final_accuracy(self.layout.run(trial.id), trial.training.rounds)
            except Diverged as error:
                log.info("%s", error)
                accuracies[factor] = None
        factor = best(accuracies)
        log.info("validation accuracy by factor: %s; chosen: %g", accuracies, factor)
        tried = [{"factor": factor, "accuracy": value} for factor, value in accuracies.items()]
        write_json(self.layout.choice(choice.id), {"factor": factor, "trials": tried})

    def train(self, run: Run) -> None:
        """Merge and train from a start, and record what is measured."""
        began = time.perf_counter()
        checkpoint = self._checkpoint(run)
        keeps = run.training.optimizer_state == "kept"
        method, fleet, network, progress = self._open(run, checkpoint)
        done, seconds, resumed = progress["rounds"], progress["seconds"], progress["resumed"]
        measurements = progress["measurements"]
        if done:
            resumed += 1
            log.info("resumed after round %d", done)

        last = run.training.rounds
        stages = method.rounds(fleet, network, run.merge, first=done + 1, last=last)
        silent = None if network.leads else True
        bar = tqdm(total=last, initial=done, desc=method.title, unit="round", disable=silent)
        for round, stage, diagnostics in stages:
            new = measure(fleet, network, round, stage, diagnostics)
            measurements += new
            accuracy = statistics.mean(row.value for row in new if row.metric == "test_accuracy")
            if network.leads:
                log.info("round %d of %d, %s: mean test accuracy %.3f", round, last, stage, accuracy)
            bar.update(stage == "merged")
            if stage != "trained":
                continue
            due = checkpoint.due() or (self.study.keep_checkpoints and round == last - 1)
            wishes = network.collect(dict.fromkeys(fleet.mine, (due, asked_to_leave())))
            leave = any(asked for _, asked in wishes.values())
            if wishes[0][0] or leave:
                steps = network.collect(dict(zip(fleet.mine, fleet.steps_taken, strict=True)))
                progress = {
                    "rounds": round,
                    "seconds": seconds + time.perf_counter() - began,
                    "resumed": resumed,
                    "measurements": [astuple(row) for row in measurements],
                    "network": network.progress(),
                    "steps_taken": [steps[agent] for agent in sorted(steps)],
                }
                tensors = network.collect(fleet.tensors(optimizers=keeps))
                if network.leads:
                    checkpoint.save(tensors, progress)
            if leave:
                network.collect({})  # nobody leaves before the checkpoint is written
                raise Interrupted(f"asked to leave; run again to go on after round {round}")
        bar.close()

        if network.leads:
            write_json(
                self.layout.run_provenance(run.id),
                {
                    "run": run.id,
                    "experiment": run.model_dump(mode="json"),
                    "method": method.model_dump(mode="json"),
                    "learning_rate": method.rate(run.training),
                    "data": {"description": fleet.data.description, "source": fleet.data.source},
                    "graph": self._describe_graph(run),
                    "network": self.study.network.model_dump(mode="json"),
                    "seconds": seconds + time.perf_counter() - began,
                    "resumed": resumed,
                    **machine(fleet.device),
                },
            )
            write_records(self.layout.run(run.id), run, fleet.data.description, measurements)
            self.settle(run)
        network.collect({})  # all go on together, when everything is written

    def settle(self, done: Start) -> None:
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
        method, fleet, network, progress = self._in_one_program()._open(run, checkpoint)
        measurements = progress["measurements"]
        for round, stage, diagnostics in method.rounds(fleet, network, run.merge, last, last):
            measurements += measure(fleet, network, round, stage, diagnostics)
        difference = first_difference(stored, as_csv(run, fleet.data.description, measurements))
        if difference is None:
            return None
        torch_version = made["versions"]["torch"]
        return (
            f"{difference} (recorded with torch {torch_version}, {made['device']}, threads {made['threads']})"
        )

    def _in_one_program(self, **changes: Any) -> "Driver":
        return replace(self, study=self.study.model_copy(update={"network": IN_PROCESS, **changes}))

    def _open(self, run: Run, checkpoint: Checkpoint) -> tuple[Method, Fleet, Network, dict[str, Any]]:
        """A run where its checkpoint left it, or at its start: method, fleet, network and progress."""
        method = self._method(run)
        device = choose_device(self.study.device, self.layout.locks)
        network = self.study.network.open(self._matrices(run), device)
        fleet = self._fleet(run.start, run.training, method.optimizer_of(run.training), network.mine)
        if (saved := checkpoint.load()) is not None:
            tensors, progress = saved
            self._restore(fleet, tensors, checkpoint.path)
            network.resume(progress["network"])
            fleet.steps_taken = [progress["steps_taken"][agent] for agent in fleet.mine]
            measured = [Measurement(*row) for row in progress["measurements"]]
            return method, fleet, network, progress | {"measurements": measured}
        self._load_start(fleet, run.start)
        measured = measure(fleet, network, 0, "start")
        return method, fleet, network, {"rounds": 0, "seconds": 0.0, "resumed": 0, "measurements": measured}

    def _method(self, run: Run) -> Method:
        """The method of a run, with the learning rate that was chosen for it."""
        if run.choice is None:
            return run.method
        factor = read_json(self.layout.choice(run.choice.id))["factor"]
        return run.method.faster(factor, run.training)

    @staticmethod
    def _matrices(run: Run) -> Callable[[int], numpy.ndarray]:
        """The mixing matrix of each communication."""
        if run.graph is None:
            return lambda time: numpy.eye(run.agents)
        return lambda time: run.graph.mixing_at(run.agents, time, run.randomness)

    @staticmethod
    def _describe_graph(run: Run) -> dict[str, Any]:
        matrix = run.graph.mixing_matrix(run.agents) if run.graph else numpy.eye(run.agents)
        contraction = run.graph.contraction(run.agents) if run.graph else float(run.agents > 1)
        return {
            "mixing_matrix": matrix.tolist(),
            "second_eigenvalue": contraction,
            "spectral_gap": 1 - contraction,
        }

    def _fleet(
        self,
        start: Start,
        training: Training | None = None,
        optimizer: AnyOptimizer | None = None,
        mine: Sequence[int] | None = None,
    ) -> Fleet:
        """The agents of a start with their images, as initialized; trained as ``training`` says."""
        device = choose_device(self.study.device, self.layout.locks)
        torch.set_num_threads(self.study.threads)
        data = ImageSet.load(self.layout.source(start.deal.source.id))
        shares = Shares.load(self.layout.deal(start.deal.id), data.fingerprint(), len(data.train_labels))
        augmentation = Augmentation(start.data.flip, start.data.crop)
        return Fleet(
            start.model,
            data.to(device),
            shares,
            training or start.training,
            augmentation,
            start.randomness,
            optimizer,
            mine,
        )

    def started(self, start: Start) -> Fleet:
        """The agents of a start as `pretrain` has left them, before the first merge."""
        fleet = self._fleet(start)
        self._load_start(fleet, start)
        return fleet

    def _load_start(self, fleet: Fleet, start: Start) -> None:
        path = self.layout.start(start.id)
        tensors, about = read_tensors(path)
        if about != {"start": start.id}:
            raise InputError(f"{path}: the start of another experiment; delete it and run again")
        self._restore(fleet, tensors, path)

    def _checkpoint(self, experiment: Start, path: Path | None = None) -> Checkpoint:
        described = experiment.model_dump(mode="json")
        path = path or self.layout.checkpoint(experiment.id)
        return Checkpoint(path, described, self.study.checkpoint_seconds)

    @staticmethod
    def _restore(fleet: Fleet, tensors: dict[str, Tensor], path: Path) -> None:
        try:
            fleet.load_tensors(tensors)
        except ValueError as error:
            raise InputError(f"{path}: holds other networks ({error}); delete it and run again") from None


def measure(
    fleet: Fleet, network: Network, round: int, stage: str, diagnostics: Sequence[Diagnostic] = ()
) -> list[Measurement]:
    """Everything that is recorded at one stage of a round, of the agents of all processes."""
    values = {}
    for row, agent in enumerate(fleet.mine):
        for metric, value in evaluate(fleet.models[row], fleet.data, fleet.arithmetic()).items():
            values[agent, metric] = value
        values[agent, "gradient_steps"] = float(fleet.steps_taken[row])
        if stage == "merged":
            values[agent, "messages_sent"] = float(network.messages_sent[agent])
    if stage == "merged":
        for (agent, kind), size in network.bytes_sent.items():
            if agent in fleet.mine:
                values[agent, f"bytes_sent_{kind}"] = float(size)
    rows = [
        Measurement(round, stage, agent, "", metric, value)
        for (agent, metric), value in sorted(network.collect(values).items())
    ]
    everyone = network.collect(dict(zip(fleet.mine, fleet.parameters, strict=True)))
    apart = disagreement(torch.stack([everyone[agent] for agent in sorted(everyone)]))
    of_layers = [Measurement(round, stage, None, *astuple(diagnostic)) for diagnostic in diagnostics]
    return [*rows, Measurement(round, stage, None, "", "disagreement", apart), *of_layers]
