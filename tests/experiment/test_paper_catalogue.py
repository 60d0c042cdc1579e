"""The studies of config/paper and its twins: each is what its entry says, and can be shown."""

import re
from pathlib import Path

import pandas
import pytest
from support.made_up import made

from dimat.experiment.catalogue import name_in_catalogue, study_files
from dimat.experiment.cells import labelled
from dimat.experiment.collect import row_of
from dimat.experiment.layout import Layout
from dimat.experiment.reading import read_study
from dimat.experiment.throughput import named_device
from paper.comparisons import comparisons
from paper.figures import figures_of
from paper.plan import StudyPlan
from paper.tables import tables_of
from theory.gap.first_merges import first_merges

CONFIG = Path(__file__).parents[2] / "config"
FOLDERS = ("paper", "paper-small", "paper-digits")
FILES = [file for name in FOLDERS for file in study_files(CONFIG / name)]
SIX = {"dimat", "wm", "wa", "cdsgd", "sgp", "cga"}


@pytest.fixture(scope="module", params=FILES, ids=name_in_catalogue)
def read(request):
    """A file, and its study."""
    return request.param, read_study(request.param)


def test_it_plans(read, tmp_path):
    file, study = read
    assert study.name == name_in_catalogue(file)
    plan = StudyPlan(study, Layout(tmp_path / study.name), named_device("H200"))
    line = plan.line("everything", plan.expected)
    assert line.count >= len(study.runs) + len(study.pretrained) and line.hours > 0
    assert figures_of(study) and tables_of(study) and first_merges(study)
    assert study.device == ("cuda" if file.parent.name == "paper" else "auto")


def test_no_cell_of_it_joins_different_experiments(read):
    """Labels of a comparison tell its runs apart, but for their seeds; otherwise they are an `InputError`."""
    _, study = read
    for comparison in comparisons(study):
        rows = [row_of(made(run)) for run in comparison.runs.values()]
        runs = pandas.DataFrame(rows).fillna("").set_index("run")
        labels = labelled(runs.assign(seed=runs["seed"].astype(int)))
        setting = [name for name in labels.columns if name not in ("seed", "method")]
        assert not labels.duplicated([*setting, "seed"]).any()
        assert (labels.groupby(setting)["seed"].max() + 1).eq(labels.groupby(setting)["seed"].count()).all()


def test_what_is_compared_fairly_has_as_many_trials(read):
    _, study = read
    fair = [run for run in study.runs.values() if run.protocol == "fair"]
    assert {run.protocol for run in study.runs.values()} <= {"fair", "as-published"}
    assert len({run.tuning for run in fair}) <= 1 and all(run.tuning for run in fair)
    assert not any(run.tuning for run in study.runs.values() if run.protocol != "fair")
    assert {(run.calibration.images, run.calibration.repair) for run in fair if run.calibration} <= {
        ("own", "recalibrate")
    }
    assert {run.training.steps for run in fair} <= {"equal"}


@pytest.mark.parametrize("name", ["T2", "T3", "T4"])
def test_tables_have_six_methods_in_every_setting_by_both_protocols(name):
    settings: dict[tuple, set[str]] = {}
    for run in read_study(CONFIG / "paper" / f"{name}.yaml").runs.values():
        setting = (run.data, run.model, run.partition, run.graph, run.protocol, run.seed)
        settings.setdefault(setting, set()).add(run.method.name)
    assert all(methods == SIX for methods in settings.values())
    assert len(settings) == {"T2": 2 * 3 * 2 * 3, "T3": 3 * 2 * 3, "T4": 3 * 3}[name] * 2 * 5


@pytest.mark.parametrize(
    ("name", "axis", "values"),
    [
        ("F4", lambda run: run.agents, {2, 5, 10, 20}),
        ("F5", lambda run: run.training.epochs, {2, 5, 10, 20}),
        (
            "F6",
            lambda run: (run.training.pretrain_epochs, run.training.start),
            {(100, "different"), (0, "different"), (0, "same")},
        ),
        (
            "F7",
            lambda run: (run.agents, run.graph.name),
            {(agents, graph) for agents in (5, 10, 20) for graph in ("ring", "complete")},
        ),
        ("F8", lambda run: run.partition.name, {"classes"}),
    ],
)
def test_figures_have_their_axes_for_both_sides(name, axis, values):
    study = read_study(CONFIG / "paper" / f"{name}.yaml")
    for method in ("dimat", "wa"):
        for protocol in {run.protocol for run in study.runs.values()}:
            runs = [
                run for run in study.runs.values() if (run.method.name, run.protocol) == (method, protocol)
            ]
            assert {axis(run) for run in runs} == values


def test_twins_have_every_entry_that_their_images_allow():
    paper, small, digits = (
        {file.stem for file in FILES if file.parent.name == name} for name in FOLDERS
    )  # a twin's Figure 3, and what diverges, have files of their own
    assert paper <= small and small - paper == {"F3", "T2-frozen"}
    assert paper - digits == {"T3"} and digits < paper


def test_the_list_of_entries_names_every_file():
    text = (CONFIG / "paper" / "README.md").read_text()
    assert set(re.findall(r"\(([^)/]+\.yaml)\)", text)) == {
        file.name for file in FILES if file.parent.name == "paper"
    }
