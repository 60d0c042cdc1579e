"""The runner: everything around a method that is not the method.

It prepares data, pre-trains, consumes a method's generator, evaluates, records, checkpoints and
resumes. A job that is killed and started again gives the records of an undisturbed one, bit for bit:
randomness depends on no history, and a checkpoint holds all other state.
"""

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

from tqdm import tqdm

from dimat.agents.agents import Diverged
from dimat.communication.options import InProcessOptions
from dimat.data import ImageSet
from dimat.experiment import dealt
from dimat.experiment.interruption import Interrupted, asked_to_leave
from dimat.experiment.logs import Kind, Note, noted
from dimat.experiment.measure import summary
from dimat.experiment.opening import Opener, mean_matrix, measured_of, restore
from dimat.experiment.provenance import now, peak_memory, with_machine
from dimat.experiment.records import Measurement, final_value, first_difference, records_csv
from dimat.experiment.runs import Partitioned, Prepared, Pretrained, Run, Tuned
from dimat.experiment.sources import read_made
from dimat.experiment.tuning import best
from dimat.io.files import (
    file_sha256,
    read_about,
    read_checked,
    read_json,
    remove,
    tensors_sha256,
    write_checked,
    write_json,
    write_tensors,
)
from dimat.methods import Method

log = logging.getLogger("dimat")


def machines_said(made: Mapping[str, Any]) -> str:
    """What a run was carried out with, as its ``run.json`` says it."""
    return "; ".join(
        f"torch {each['versions']['torch']}, {each['device']}, threads {each['threads']}"
        for each in made["made_on"]
    )


@dataclass(frozen=True)
class Runner(Opener):
    """Carries out the parts of one study; data that one job has read, the next need not read."""

    log: Kind | None = None
    """Where runs are logged besides; trials are not."""

    def prepare(self, prepared: Prepared) -> None:
        """Read, check and decode a data set."""
        dealt.prepare(prepared, self.layout)

    def check_prepared(self, prepared: Prepared) -> None:
        """`InputError` if a data set was read from other files than are there now."""
        dealt.check_prepared(prepared, self.layout)

    def check_partition(self, partitioned: Partitioned) -> None:
        """`InputError` if a partition is that of other images than are there now."""
        dealt.check_partition(partitioned, self.layout)

    def partition(self, partitioned: Partitioned) -> None:
        """Deal a data set out to agents."""
        path = self.layout.partitioned(partitioned.id)
        content = self.dealt(partitioned)
        write_json(path, content)
        log.info("images of each agent: %s", [len(own["images"]) for own in content["train"]])

    def dealt(self, partitioned: Partitioned) -> dict[str, Any]:
        """The content of a partition's file."""
        return dealt.dealt(partitioned, self.layout, self.kept)

    def pretrain(self, start: Pretrained) -> None:
        """Train the agents apart and keep their networks."""
        path = self.layout.pretrained(start.id)
        replaces = path.exists()
        agents = self.agents_of(start)
        checkpoint = self.checkpoint_of(start)
        done, made_on = 0, []
        if (saved := checkpoint.load()) is not None:
            tensors, progress = saved
            restore(agents, tensors, checkpoint.path)
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

    def train(self, run: Run) -> None:
        """Merge and train from a start, and record what is measured."""
        with noted(self.log, run, self.layout.logged) as note:
            self._train(run, note)

    def _train(self, run: Run, note: Note) -> None:
        began, began_at = time.perf_counter(), now()
        path = self.layout.run(run.id)
        replaces = path.exists()
        checkpoint = self.checkpoint_of(run)
        keeps = run.training.optimizer_state == "kept"
        method, agents, communicator, progress = self.opened(run, checkpoint)
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
            new = measured_of(run, agents, communicator, round, stage, diagnostics)
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
        method = method or self.method_of(run)
        return {
            "run": run.id,
            "experiment": run.model_dump(mode="json"),
            "method": method.model_dump(mode="json"),
            "learning_rate": method.rate(run.training),
            "metric": run.task.metric._asdict() | {"examples": len(data.test_labels)},
            "data": {"description": data.description, "source": data.source},
            "graph": graph_of(run),
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
            self.check_start(done, read_about(self.layout.pretrained(done.id)))
        keep = isinstance(done, Run) and self.study.keep_checkpoints
        self.checkpoint_of(done).finish(self.layout.last_round(done.id) if keep else None)

    def repeat(self, run: Run) -> str | None:
        """Carry out the last round of a finished run again; the first number that differs, if any."""
        stored = read_checked(self.layout.run(run.id))
        made = read_json(self.layout.run_provenance(run.id))
        last = run.training.rounds
        checkpoint = self.checkpoint_of(run, self.layout.last_round(run.id))
        method, agents, communicator, progress = self.in_one_program().opened(run, checkpoint)
        measurements = progress["measurements"]
        for round, stage, diagnostics in method.rounds(agents, communicator, run.merging, last, last):
            measurements += measured_of(run, agents, communicator, round, stage, diagnostics)
        difference = first_difference(stored, records_csv(run.id, measurements))
        return None if difference is None else f"{difference} (recorded with {machines_said(made)})"

    def in_one_program(self, **changes: Any) -> "Runner":
        """The same with all agents in this process, and with ``changes`` of the study."""
        study = self.study.model_copy(update={"communication": InProcessOptions(), **changes})
        return replace(self, study=study)


def graph_of(run: Run) -> dict[str, Any]:
    """What ``run.json`` says of a run's graph."""
    contraction = run.graph.contraction(run.agents) if run.graph else float(run.agents > 1)
    return {
        "mixing_matrix": mean_matrix(run).tolist(),
        "second_eigenvalue": contraction,
        "spectral_gap": 1 - contraction,
    }
