"""Studies whose numbers are made up: their runs and records lie where figures and tables read them."""

from dimat.experiment.collect import row_of
from dimat.experiment.config import parse_study
from dimat.experiment.layout import Layout
from dimat.experiment.records import COLUMNS, csv_of
from dimat.io.files import write_checked

METRIC = "test_accuracy"
BASE = {
    "name": "made-up",
    "data": "digits",
    "model": "plain",
    "partition": "iid",
    "graph": "ring",
    "agents": 2,
}


def write_study(folder, reached, more=lambda run: (), **keys):
    """A study of ``keys`` whose agents reach ``reached(run, round, agent)``, and its layout.

    ``more`` gives further rows of a run: round, stage, agent, layer, metric, value.
    """
    study, layout = parse_study(BASE | keys, "study"), Layout(folder)

    def records(run):
        for round in range(run.training.rounds + 1):
            stage = "merged" if round else "start"
            for agent in range(run.agents):
                yield round, stage, agent, "", METRIC, reached(run, round, agent)
        yield 1, "trained", 0, "", METRIC, 0.999  # not right after a merge
        yield 1, "merged", "", "", "disagreement", 1.0  # of no agent
        yield from more(run)

    rows = [row_of(made(run)) for run in study.runs.values()]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write_checked(layout.runs, csv_of([columns, *([row.get(name, "") for name in columns] for row in rows)]))
    found = [(id, *row) for id, run in study.runs.items() for row in records(run)]
    write_checked(layout.records, csv_of([COLUMNS, *found]))
    return study, layout


def made(run):
    """What ``run.json`` says of a run, as far as runs.csv needs it."""
    return {
        "run": run.id,
        "experiment": run.model_dump(mode="json"),
        "data": {"description": "digits, made up"},
        "learning_rate": run.method.rate(run.training),
        "metric": run.task.metric._asdict(),
    }
