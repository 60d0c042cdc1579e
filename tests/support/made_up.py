"""Studies whose numbers are made up: their runs and records lie where figures and tables read them."""

import hashlib

import torch
from support.faults import write_audit

from dimat.experiment.collect import row_of
from dimat.experiment.layout import Layout
from dimat.experiment.reading import parse_study
from dimat.experiment.records import COLUMNS_WITH_PARTS, Measurement, csv_of, records_csv
from dimat.experiment.sources import sources_of
from dimat.io.files import write_checked, write_json, write_tensors
from dimat.tasks.few_shot import STEPS

BASE = {
    "name": "made-up",
    "data": "digits",
    "model": "plain",
    "partition": "iid",
    "graph": "ring",
    "agents": 2,
}
CLASSES = 10
MODEL = 1e4
"""Bytes of a network."""


def write_study(folder, reached, more=lambda run: (), **keys):
    """A study of ``keys`` whose agents reach ``reached(run, round, agent)``, and its layout.

    ``more`` gives further rows of a run: round, stage, agent, layer, metric, value, and the part if any.
    """
    study = parse_study(BASE | keys, "study")
    layout = Layout(folder / study.name)
    rows = [row_of(made(run)) for run in study.runs.values()]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write_checked(layout.runs, csv_of([columns, *([row.get(name, "") for name in columns] for row in rows)]))
    found = [(id, *row) for id, run in study.runs.items() for row in records_of(run, reached, more)]
    columns = COLUMNS_WITH_PARTS[: max(map(len, found))]
    write_checked(layout.records, csv_of([columns, *((*row, "")[: len(columns)] for row in found)]))
    return study, layout


def records_of(run, reached, more):
    """The rows of a run whose agents reach ``reached(run, round, agent)``, with ``more`` of them."""
    for round in range(run.training.rounds + 1):
        stage = "merged" if round else "start"
        for agent in range(run.agents):
            yield round, stage, agent, "", run.task.metric.name, reached(run, round, agent)
    yield 1, "trained", 0, "", run.task.metric.name, 0.999  # not right after a merge
    yield 1, "merged", "", "", "disagreement", 1.0  # of no agent
    yield from more(run)


def made(run):
    """What ``run.json`` says of a run, as far as runs.csv needs it."""
    return {
        "run": run.id,
        "experiment": run.model_dump(mode="json"),
        "data": {
            "description": f"{getattr(run.data, 'title', None) or run.data.name}, made up",
            "source": {},
        },
        "learning_rate": run.method.rate(run.training),
        "metric": run.task.metric._asdict() | {"examples": 360},
    }


def write_archived(folder, study, reached=None):
    """A finished ``study`` as an archive leaves it: its runs one by one, no images and no networks."""
    layout = Layout(folder / study.name)
    for partitioned in study.partitioned.values():
        write_partition(layout.partitioned(partitioned.id), partitioned)
    for id in study.prepared:
        shapes = {"train_images": [1000, 3, 32, 32], "test_images": [200, 3, 32, 32]}
        write_json(layout.data_outline(id), {"about": {}, "shapes": shapes})
    for id in study.pretrained:
        write_json(layout.start_outline(id), {"about": {}, "network_bytes": MODEL})
    for id in study.tuned:
        write_json(layout.tuned(id), {"id": id, "factor": 1.0, "trials": []})
    write_holonomy(study, layout)
    write_audit(layout)
    write_simulated(study, layout)
    machine = {"device": "cpu (made up)", "threads": 1, "versions": {"dimat": "0.1.0", "commit": None}}
    for id, run in study.runs.items():
        rows = [Measurement(*_row(row)) for row in records_of(run, reached or accuracy, measured)]
        records = records_csv(id, rows)
        write_checked(layout.run(id), records)
        about = {
            "records": hashlib.sha256(records).hexdigest(),
            "made_on": [machine],
            "seconds": 60.0,
            "resumed": 0,
        }
        about |= {"peak_memory_bytes": 2**28, "made_from": sources_of(run, layout)}
        write_json(layout.run_provenance(id), made(run) | about)
    return layout


def _row(row):
    """A row as `Measurement` has it: nobody is `None`."""
    round, stage, agent, *rest = row
    return round, stage, None if agent == "" else agent, *rest


def write_finished(folder, **keys):
    """A study of ``keys`` with all that its figures, tables and paper are made from, and its layout."""
    study, layout = write_study(folder, accuracy, measured, **keys)
    versions = [{"dimat": "0.1.0", "commit": None}]
    data = [
        {"description": title, "source": {}} for title in sorted({r.data.name for r in study.runs.values()})
    ]
    facts = {"runs": len(study.runs), "seconds": 90.0, "peak_memory_bytes": 2**28, "resumed": 0}
    found = {"data": data, "devices": ["cpu"], "threads": [1], "versions": versions}
    by_run = {"by_run": {id: {"seconds": 2.0} for id in study.runs}}
    write_json(layout.provenance, facts | found | by_run)
    for partitioned in study.partitioned.values():
        write_partition(layout.partitioned(partitioned.id), partitioned)
    for id in study.pretrained:
        write_start(layout.pretrained(id))
    write_holonomy(study, layout)
    write_audit(layout)
    write_simulated(study, layout)
    judge(study, layout)
    return study, layout


def judge(study, layout):
    """claims.csv, as `dimat judge` makes it."""
    from theory.claims.evidence import evidence
    from theory.claims.judgement import claims_table, judgements
    from theory.report import EVIDENCE, as_frame, read_audit, table_csv

    own = as_frame(evidence(study, layout), EVIDENCE)
    table = claims_table(judgements([read_audit(layout.audit), own]))
    write_checked(layout.claims, table_csv(table).encode())


def drawn(*words):
    """A number between 0 and 1 that is always the same for the same words."""
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:4]) / 2**32


def accuracy(run, round, agent):
    return (0.2 + 0.6 * round / (round + 1)) * (0.8 + 0.2 * drawn(run.id, agent))


def measured(run):
    """What a run records beside its accuracy: steps, messages, bytes, and what matching did."""
    sends = run.graph and run.agents > 1 and run.method.communicates != "never"
    for round in range(run.training.rounds + 1):
        for agent in range(run.agents):
            row = round, "merged" if round else "start", agent, ""
            yield *row, "gradient_steps", 5.0 * (1 + max(round - 1, 0))
            if round:
                yield *row, "messages_sent", 2.0 * round * bool(sends)
            if round and sends and not (run.method.communicates == "step" and round == 1):
                yield *row, "bytes_sent_models", MODEL * round
        if round and sends and run.matching:
            for layer in ("one", "two"):
                for metric in ("moved_share", "objective_gain", "closed_share", "distance_after"):
                    yield round, "merged", "", layer, metric, drawn(run.id, round, layer, metric)
            yield round, "merged", "", "", "drift", 9 * drawn(run.id, round)
        yield from asked(run, round)


def asked(run, round):
    """What a run records after a merge because it was asked for."""
    stage = "merged" if round else "start"
    reached = [accuracy(run, round, agent) for agent in range(run.agents)]
    if "mean_model" in run.measures:
        yield round, stage, "", "", f"mean_model_{run.task.metric.name}", 0.9 * sum(reached) / run.agents
    for agent, value in enumerate(reached):
        if "training_loss" in run.measures:
            yield round, stage, agent, "", "training_loss", 2 * (1 - value) ** 3
        if "optimum" in run.measures:
            yield round, stage, agent, "", "distance_to_optimum", (1 - value) ** (1 + round)
        if "adaptation" in run.measures and round in (0, run.training.rounds):
            for steps in range(STEPS + 1):
                adapted = value * (1 - 0.5**steps)
                yield round, stage, agent, "", f"{run.task.metric.name}_{steps}", adapted
        if "parts" in run.measures and round in (0, 1, run.training.rounds):
            for part in range(run.agents):
                own = 0.1 * (part == agent)
                yield round, stage, agent, "", "part_accuracy", 0.9 * value + own, part


def write_start(path):
    """Networks as a start holds them, each of as many bytes as a model that is sent here."""
    size = int(MODEL) // 4
    write_tensors(path, {f"{agent}/network/weight": torch.zeros(size) for agent in range(2)}, {})


def write_partition(path, partitioned):
    """Images of ten classes for every agent, as the figure of a partition reads them."""
    counts = [[int(40 * drawn(partitioned.id, agent, label)) for label in range(CLASSES)]
              for agent in range(partitioned.agents)]  # fmt: skip
    held = [{"counts": each, "images": list(range(sum(each)))} for each in counts]
    write_json(path, {"classes": list(map(str, range(CLASSES))), "pretrain": held, "train": held})


def write_simulated(study, layout):
    """What a link that all agents share, if there is one, makes of runs, and of flows that never end."""
    from dimat.communication.congestion.resting import FLOWS
    from dimat.experiment.simulated import RESTING, SIMULATED, both_ways

    if study.bottleneck is None:
        return
    seeds = sorted({run.seed for run in study.runs.values()})
    resting, simulated = [RESTING], [SIMULATED]
    for place in range(len(study.bottleneck.controller)):
        for spread in (link.spread for link in both_ways(study.bottleneck)):
            for seed in seeds:
                for flows in FLOWS:
                    number = drawn(place, spread, seed, flows)
                    resting.append(
                        (place, seed, spread, flows, 1 + number, 1.0, 0.5 + number / 2, number / 3)
                    )
            for id, run in study.runs.items():
                for round in range(run.training.rounds + 1):
                    seconds = round + 0.1 * place + 0.05 * drawn(id)
                    simulated.append((id, place, spread, round, seconds, 1.5, 0.1, 0.9))
    write_checked(layout.at_rest, csv_of(resting))
    write_checked(layout.simulated, csv_of(simulated))


def write_holonomy(study, layout):
    """What matching found at the first merges, of two layers and the whole network."""
    from dataclasses import asdict

    import pandas

    from theory.gap.first_merges import first_merges
    from theory.gap.holonomy import ALL, MeasuredLift
    from theory.report import table_csv

    for id, runs in first_merges(study).items():
        rows = []
        for run in runs:
            root, alone = run.graph.contraction(run.agents), run.agents == 1
            for layer in ("conv1", "conv2", ALL):
                whole = {"disagreement_before": 0.0 if alone else 1.0, "links": 2 * (run.agents - 1)}
                whole |= {"disagreement_after": 0.0 if alone else drawn(run.id), "network_bytes": 9000}
                closed = {"closed_share": None if run.agents < 3 else drawn(run.id, layer)}
                found = MeasuredLift(layer, 16, root, 8, eigenvalue=root, **closed)
                rows.append({"run": run.id, **asdict(found), **(whole if layer == ALL else {})})
        write_checked(layout.holonomy(id), table_csv(pandas.DataFrame(rows)).encode())
