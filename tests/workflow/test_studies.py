"""Every study that is shipped: that it can be read, and, with --long, its shrunken twin up to the paper."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.pipeline import PROJECT, Pipeline
from support.twins import draw_pictures, twin_of

from dimat.data.data_set import SEARCH_VARIABLE, DataFolders
from dimat.experiment.config import AXES
from dimat.experiment.reading import parse_study, read_study
from paper.figures import figures_of
from paper.tables import tables_of
from theory.gap.first_merges import first_merges

CONFIGURATIONS = sorted(
    path for folder in ("", "systems") for path in (PROJECT / "config" / folder).glob("*.yaml")
)
BY_NAME = pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)


def twin_at(path):
    return twin_of(yaml.safe_load(path.read_text()))


def kinds(shown):
    return {each.kind for each in shown.values()}


def values_of(study, axis):
    """What runs have on an axis, as far as twins keep it: names of what is shrunken, all of the rest."""
    values = {getattr(run, axis) for run in study.runs.values()} - {None}
    if axis == "agents":
        return values - {1, 3, 5}
    if axis == "data":
        return len({(value.name, getattr(value, "path", "")) for value in values})
    if axis in ("model", "partition"):
        return {value.name for value in values}
    return {value.model_copy(update={"limit": None}) if axis == "calibration" else value for value in values}


@BY_NAME
def test_a_twin_has_all_that_its_study_has(path):
    study, twin = read_study(path), parse_study(twin_at(path), "twin")
    for axis in AXES:
        found, expected = values_of(twin, axis), values_of(study, axis)
        assert found == expected, axis
    assert kinds(figures_of(twin)) == kinds(figures_of(study))
    assert kinds(tables_of(twin)) == kinds(tables_of(study))
    assert first_merges(twin) or not any(run.matching for run in study.runs.values())
    assert len(twin.runs) <= 120 and all(run.training.rounds <= 2 for run in twin.runs.values())


@BY_NAME
def test_the_twin_gives_its_paper(path, long, tmp_path):
    if not long:
        pytest.skip("minutes: make test-studies")
    twin = twin_at(path)
    folders = DataFolders.from_environment(Path("downloads"))
    wanted = {grid["data"].get("substitute") for grid in (twin, *twin["variants"]) if "data" in grid}
    for name in wanted:
        if name and folders.find(name) is None:
            pytest.skip(f"{name} is in no folder of {SEARCH_VARIABLE}")
    pipeline = Pipeline(tmp_path)
    draw_pictures(pipeline.folder, twin)
    pipeline.configure(twin)
    built = pipeline("--cores", str(os.cpu_count()))
    assert built.returncode == 0, built.stdout[-4000:] + built.stderr[-8000:]
    assert (pipeline.folder / "results" / twin["name"] / "dimat.pdf").read_bytes().startswith(b"%PDF")
    assert pipeline.planned() == {}


@pytest.mark.parametrize("name", ["paper-digits", "paper-small", "paper"])
def test_the_catalogues_that_are_shipped_plan(name, long):
    """Every study of a catalogue in one plan, up to its paper."""
    if not long:
        pytest.skip("minutes: make test-studies")
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "all", "--cores", "2", name]
    planned = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert planned.returncode == 0, planned.stderr
    files = list((PROJECT / "config" / name).glob("*.yaml"))
    assert re.search(rf"^ pdf +{len(files)} *$", planned.stdout + planned.stderr, re.M)
