"""The driver: everything around an algorithm that is not the algorithm.

It prepares data, pre-trains, consumes a method's generator, evaluates, records, checkpoints and
resumes. A job that is killed and started again gives the records of an undisturbed one, bit for bit:
randomness depends on no history, and a checkpoint holds all other state.
"""

import logging
import statistics
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy
import torch
from torch import Tensor
from tqdm import tqdm

from dimat.config import Deal, Run, Source, Start, Study
from dimat.data import DataFolders, ImageSet
from dimat.data.augmentation import Augmentation
from dimat.data.partitions import Shares, whole
from dimat.errors import InputError
from dimat.files import read_tensors, write_json, write_tensors
from dimat.graphs import second_eigenvalue, spectral_gap
from dimat.layout import Layout
from dimat.network.in_process import InProcess
from dimat.provenance import machine
from dimat.randomness import Randomness
from dimat.records import Measurement, write_records
from dimat.training.checkpoint import Checkpoint
from dimat.training.evaluation import disagreement, evaluate
from dimat.training.fleet import Fleet

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
            if checkpoint.due():
                checkpoint.save(fleet.tensors(optimizers=True), {"epochs": epoch + 1})
        write_tensors(self.layout.start(start.id), fleet.tensors(optimizers=False), {"start": start.id})
        checkpoint.remove()

    def train(self, run: Run) -> None:
        """Merge and train from a start, and record what is measured."""
        began = time.perf_counter()
        fleet = self._fleet(run.start, run)
        matrix = run.graph.mixing_matrix(run.agents) if run.graph else numpy.eye(run.agents)
        network = InProcess(matrix)
        checkpoint = self._checkpoint(run)
        keeps = run.training.optimizer_state == "kept"
        done, seconds, resumed, measurements = 0, 0.0, 0, []
        if (saved := checkpoint.load()) is not None:
            tensors, progress = saved
            self._restore(fleet, tensors, checkpoint.path)
            done, seconds, resumed = progress["rounds"], progress["seconds"], progress["resumed"] + 1
            measurements = [Measurement(*row) for row in progress["measurements"]]
            network.bytes_sent.update({(agent, kind): size for agent, kind, size in progress["bytes_sent"]})
            log.info("resumed after round %d", done)
        else:
            path = self.layout.start(run.start.id)
            tensors, about = read_tensors(path)
            if about != {"start": run.start.id}:
                raise InputError(f"{path}: the start of another experiment; delete it and run again")
            self._restore(fleet, tensors, path)
            measurements += measure(fleet, network, 0, "start")

        last = run.training.rounds
        stages = run.method.rounds(fleet, network, run.merge, first=done + 1, last=last)
        bar = tqdm(total=last, initial=done, desc=run.method.title, unit="round", disable=None)
        for round, stage, diagnostics in stages:
            new = measure(fleet, network, round, stage)
            new += [Measurement(round, stage, None, *astuple(diagnostic)) for diagnostic in diagnostics]
            measurements += new
            accuracy = statistics.mean(row.value for row in new if row.metric == "test_accuracy")
            log.info("round %d of %d, %s: mean test accuracy %.3f", round, last, stage, accuracy)
            bar.update(stage == "merged")
            if stage == "trained" and checkpoint.due():
                progress = {
                    "rounds": round,
                    "seconds": seconds + time.perf_counter() - began,
                    "resumed": resumed,
                    "measurements": [astuple(row) for row in measurements],
                    "bytes_sent": [(*key, size) for key, size in network.bytes_sent.items()],
                }
                checkpoint.save(fleet.tensors(optimizers=keeps), progress)
        bar.close()

        write_json(
            self.layout.run_provenance(run.id),
            {
                "run": run.id,
                "experiment": run.model_dump(mode="json"),
                "data": {"description": fleet.data.description, "source": fleet.data.source},
                "graph": {
                    "mixing_matrix": matrix.tolist(),
                    "second_eigenvalue": second_eigenvalue(matrix),
                    "spectral_gap": spectral_gap(matrix),
                },
                "seconds": seconds + time.perf_counter() - began,
                "resumed": resumed,
                **machine(fleet.device),
            },
        )
        write_records(self.layout.run(run.id), run, fleet.data.description, measurements)
        checkpoint.remove()

    def _fleet(self, start: Start, run: Run | None = None) -> Fleet:
        """The agents of a start with their images, as initialized; trained as ``run`` says."""
        device = choose_device(self.study.device)
        torch.set_num_threads(self.study.threads)
        data = ImageSet.load(self.layout.source(start.deal.source.id))
        shares = Shares.load(self.layout.deal(start.deal.id), data.fingerprint(), len(data.train_labels))
        augmentation = Augmentation(start.data.flip, start.data.crop)
        training = (run or start).training
        return Fleet(start.model, data.to(device), shares, training, augmentation, start.randomness)

    def _checkpoint(self, experiment: Start) -> Checkpoint:
        described = experiment.model_dump(mode="json")
        return Checkpoint(self.layout.checkpoint(experiment.id), described, self.study.checkpoint_seconds)

    @staticmethod
    def _restore(fleet: Fleet, tensors: dict[str, Tensor], path: Path) -> None:
        try:
            fleet.load_tensors(tensors)
        except ValueError as error:
            raise InputError(f"{path}: holds other networks ({error}); delete it and run again") from None


def measure(fleet: Fleet, network: InProcess, round: int, stage: str) -> list[Measurement]:
    """Everything that is recorded at one stage of a round."""
    rows = [
        Measurement(round, stage, agent, "", metric, value)
        for agent, model in enumerate(fleet.models)
        for metric, value in evaluate(model, fleet.data, fleet.arithmetic()).items()
    ]
    rows.append(Measurement(round, stage, None, "", "disagreement", disagreement(fleet)))
    if stage == "merged":
        rows += [
            Measurement(round, stage, agent, "", f"bytes_sent_{kind}", float(size))
            for (agent, kind), size in sorted(network.bytes_sent.items())
        ]
    return rows


def choose_device(wanted: str) -> torch.device:
    """The torch device for `auto`, `cpu` or `cuda`."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("device: 'cuda' was asked for, but torch sees no GPU; valid here: auto, cpu")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)
