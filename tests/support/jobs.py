"""Jobs of small studies, and what they must not leave behind."""

from dimat.experiment.layout import Layout
from dimat.experiment.reading import parse_study
from dimat.experiment.runner import Runner


def open_runner(content, folder):
    """A runner whose data and partitions are made."""
    study = parse_study(content, "small")
    runner = Runner(study, Layout(folder / "small"))
    for prepared in study.prepared.values():
        runner.prepare(prepared)
    for partitioned in study.partitioned.values():
        runner.partition(partitioned)
    return runner


def carried_out(content, folder):
    """Every step of a study; the runner."""
    runner = open_runner(content, folder)
    for start in runner.study.pretrained.values():
        runner.pretrain(start)
    for tuned in runner.study.tuned.values():
        runner.tune(tuned)
    for run in runner.study.runs.values():
        runner.train(run)
    return runner


def only_start(runner):
    (start,) = runner.study.pretrained.values()
    return start


def only_run(runner):
    (run,) = runner.study.runs.values()
    return run


def assert_nothing_left_over(layout):
    left = [
        path
        for path in layout.results.rglob("*")
        if path.suffix == ".tmp" or path.parent.name == "checkpoints"
    ]
    assert not left
