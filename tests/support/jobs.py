"""The only jobs of the small study, and what they must not leave behind."""

from dimat.experiment.config import parse_study
from dimat.experiment.layout import Layout
from dimat.experiment.runner import Driver


def open_driver(content, folder):
    """A driver whose data and partitions are made."""
    study = parse_study(content, "small")
    driver = Driver(study, Layout(folder / "small"))
    for source in study.sources.values():
        driver.prepare(source)
    for deal in study.deals.values():
        driver.partition(deal)
    return driver


def only_start(driver):
    (start,) = driver.study.starts.values()
    return start


def only_run(driver):
    (run,) = driver.study.runs.values()
    return run


def assert_nothing_left_over(layout):
    left = [
        path for path in layout.root.rglob("*") if path.suffix == ".tmp" or path.parent.name == "checkpoints"
    ]
    assert not left
