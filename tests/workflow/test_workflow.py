"""The pipeline as a user runs it: a small study, planned and built by Snakemake in a copy of the project."""

import shutil
import subprocess
from pathlib import Path

import pandas
import pytest
import yaml
from snakemake.cli import main as snakemake
from support.faults import comparable
from support.forked import forked
from support.pictures import fill, picture
from support.pipeline import FOLDERS, PROJECT, STUDY, Pipeline
from support.small import command

from dimat.experiment.reading import parse_study, read_study
from dimat.io.files import read_about


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """The small study, built."""
    pipeline = Pipeline(tmp_path_factory.mktemp("project"))
    built = pipeline()
    assert built.returncode == 0, built.stdout + built.stderr
    return pipeline


def parse(pipeline):
    """The study as Snakemake reads it, in its folder."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(pipeline.folder)
        return read_study(Path("small.yaml"))


@pytest.fixture(autouse=True)
def undisturbed(request):
    """Each test starts from the built study, and leaves nothing to do."""
    yield
    if "pipeline" in request.fixturenames:
        request.getfixturevalue("pipeline").configure(STUDY)


def test_builds_paper_figures_tables_and_records(pipeline):
    assert (pipeline.results / "dimat.pdf").read_bytes().startswith(b"%PDF")
    assert (pipeline.results / "figures" / "progress-digits-plain-3.svg").read_text().startswith("<?xml")
    assert "DIMAT" in (pipeline.results / "tables" / "progress.tex").read_text()
    records = pandas.read_csv(pipeline.results / "records.csv")
    runs = pandas.read_csv(pipeline.results / "runs.csv")
    assert set(runs["method.name"]) == {"dimat", "pooled"}
    assert set(runs["run"]) == set(records["run"])
    assert set(records["round"]) == {0, 1, 2}


def test_a_sweep_gives_what_the_pipeline_gives(pipeline):
    """Byte by byte, but for times and machines."""
    elsewhere = pipeline.folder / "elsewhere"
    swept = subprocess.run(
        command("sweep", "small.yaml", "--results", elsewhere),
        cwd=pipeline.folder,
        capture_output=True,
        text=True,
    )
    assert swept.returncode == 0, swept.stderr
    found, expected = map(made_by_training, (elsewhere, pipeline.folder / "results"))
    shutil.rmtree(elsewhere)
    assert found == expected and len(found) == 13


def made_by_training(root):
    """Data, partitions, starts, runs and what joins them, by name."""
    files = [root / "small" / "runs.csv", root / "small" / "records.csv"]
    for folder in ("shared/data", "shared/partitions", "shared/starts", "shared/runs"):
        files += [path for path in (root / folder).rglob("*") if path.is_file()]
    return {
        path.relative_to(root).as_posix(): read_about(path)["networks"]
        if path.parent.name == "starts"
        else comparable(path)
        for path in files
    }


def test_writes_nothing_outside_its_folder(pipeline):
    expected = {*FOLDERS, "small.yaml", "results", ".snakemake"}
    assert {path.name for path in pipeline.folder.iterdir()} == expected
    assert {path.name for path in (pipeline.folder / "results").iterdir()} == {"shared", "small"}


def test_second_call_has_nothing_to_do(pipeline):
    assert pipeline.planned() == {}


def test_deleted_figure_is_one_job(pipeline):
    (pipeline.results / "figures" / "graphs.svg").unlink()
    assert pipeline.planned() == {"figure": 1, "pdf": 1, "all": 1}
    rebuilt = pipeline()
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    assert pipeline.planned() == {}


def test_edited_comment_reruns_nothing(pipeline):
    source = pipeline.folder / "dimat" / "agents" / "networks.py"
    source.write_text(source.read_text() + "# a remark\n")
    assert pipeline.planned(edited=True) == {}


def test_another_seed_runs_only_its_own_jobs(pipeline):
    pipeline.configure(STUDY | {"seeds": [0, 1]})
    planned = pipeline.planned()
    assert "prepare" not in planned
    # one partition, start and run of DIMAT, and one each of pooled training
    assert [planned[rule] for rule in ("partition", "pretrain", "train")] == [2, 2, 2]


def test_tuning_comes_before_the_runs_that_need_it(pipeline):
    tuned = STUDY | {"method": ["dimat", "dpsgd"], "seeds": [0, 1], "tuning": {"factors": [0.5, 1.0]}}
    pipeline.configure(tuned | {"name": "tuned"})
    planned = pipeline.planned()
    # data and partitions with held-out images, and of the seed that is new; a choice for each method
    expected = {"prepare": 1, "partition": 2, "pretrain": 2, "tune": 2, "train": 4}
    assert {rule: planned[rule] for rule in expected} == expected


def test_changed_merge_option_keeps_the_pre_trained_networks(pipeline):
    pipeline.configure(STUDY | {"calibration": {"images": "own"}})
    planned = pipeline.planned()
    assert "pretrain" not in planned and planned["train"] == 1


def test_an_edited_graph_is_another_experiment(pipeline):
    edges = pipeline.folder / "edges.txt"
    edges.write_text("0 1\n1 2\n")
    pipeline.configure(STUDY | {"graph": {"name": "file", "path": "edges.txt"}})
    before = parse(pipeline).runs
    edges.write_text("# the same edges\n1 0\n2 1\n")
    assert set(parse(pipeline).runs) == set(before)
    edges.write_text("0 1\n1 2\n2 0\n")
    after = parse(pipeline).runs
    changed = {id for id, run in after.items() if run.graph}
    assert changed and not changed & set(before)
    edges.unlink()


def test_jobs_read_the_edges_that_were_planned(pipeline):
    edges = pipeline.folder / "edges.txt"
    edges.write_text("0 1\n1 2\n")
    pipeline.configure(STUDY | {"graph": {"name": "file", "path": "edges.txt"}})
    study = parse(pipeline)
    edges.write_text("0 1\n1 2\n2 0\n")  # while jobs wait
    assert set(parse_study(study.resolved(), "study.json").runs) == set(study.runs)
    edges.unlink()


def test_what_an_output_depends_on_makes_it_anew(pipeline):
    """Simulated times need no run, and the audit's code is a part of its results."""
    pipeline.configure(STUDY | {"links": {"bandwidth": 10.0, "latency": 1.0}})
    planned = pipeline.planned()
    assert "train" not in planned and "collect" not in planned and "audit" not in planned
    assert planned["claims"] == planned["pdf"] == 1 and planned["figure"] > 1
    pipeline.configure(STUDY)
    source = pipeline.folder / "theory" / "rows.py"
    text = source.read_text()
    source.write_text(text + "ANOTHER = 1\n")
    try:
        planned = pipeline.planned(edited=True)
    finally:
        source.write_text(text)
    assert "train" not in planned and planned["audit"] == planned["claims"] == 1


def test_a_shared_link_is_simulated_from_runs_that_are_there(pipeline):
    """A policy is trained for the study's seed; another controller trains no run, and no policy again."""
    learnt = {"name": "adpg", "updates": 2, "intervals": 10}
    pipeline.configure(STUDY | {"bottleneck": {"controller": ["aimd", learnt]}})
    planned = pipeline.planned("--until", "simulate")
    assert planned.pop("all", 1) and planned == {"policy": 1, "simulate": 1}
    made = pipeline("--until", "policy")
    assert made.returncode == 0, made.stdout + made.stderr
    pipeline.configure(STUDY | {"bottleneck": {"controller": ["fixed", learnt]}})
    assert "policy" not in pipeline.planned() and pipeline.planned()["simulate"] == 1


def test_other_images_under_the_same_name_are_read_again(pipeline):
    images = pipeline.folder / "images"
    fill(images)
    study = STUDY | {"name": "own", "data": {"name": "folder", "path": "images"}, "agents": 2}
    study |= {"training": {"pretrain_epochs": 1, "rounds": 2, "epochs": 1, "batch_size": 2}}
    pipeline.configure(study)
    built = pipeline("--until", "partition")
    assert built.returncode == 0, built.stdout + built.stderr
    assert "prepare" not in pipeline.planned()
    picture(99).save(images / "train" / "ant" / "0.png")
    planned = pipeline.planned()
    shutil.rmtree(images)
    assert planned["prepare"] == 1 and planned["partition"] >= 1
    assert "prepare" not in pipeline.planned()  # what was read stays what it is
    shutil.rmtree(pipeline.folder / "results" / "own")


def test_report_is_one_offline_page(pipeline):
    made = pipeline("--report", "report.html")
    assert made.returncode == 0, made.stderr
    report = pipeline.folder / "report.html"
    text = report.read_text()
    report.unlink()
    assert "Test accuracy right after each merge" in text and "progress-digits-plain-3" in text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"agents": 0}, "agents"),
        ({"agnets": 3}, "agnets"),
        ({"partition": {"name": "dirichlet", "alpha": -1}}, "alpha"),
        ({"graph": {"name": "edges", "edge_list": [[0, 1]]}}, "disconnected"),
    ],
)
def test_bad_configuration_is_one_line_and_code_2(pipeline, change, named):
    pipeline.configure(STUDY | change)
    refused = pipeline()
    errors = [line for line in refused.stderr.splitlines() if "error" in line.lower()]
    assert refused.returncode == 2
    assert len(errors) == 1 and errors[0].startswith("dimat: error: small.yaml") and named in errors[0]
    assert "Traceback" not in refused.stderr


def test_failing_job_shows_its_line(pipeline):
    pipeline.configure(STUDY | {"name": "lost", "data": {"name": "folder", "path": "nowhere.zip"}})
    failed = pipeline("--until", "collect")
    shutil.rmtree(pipeline.folder / "results" / "lost")
    output = failed.stdout + failed.stderr
    assert failed.returncode != 0 and "dimat: error: data.path" in output and "Traceback" not in output


# Several studies.


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """A project whose small catalogue is two studies from the same start, trained."""
    pipeline = Pipeline(tmp_path_factory.mktemp("catalogue"))
    folder = pipeline.folder / "config" / "paper-small"
    shutil.rmtree(folder)
    folder.mkdir()
    for name, method in (("A", "dimat"), ("B", ["dimat", "wa"])):
        content = STUDY | {"name": f"paper-small-{name.lower()}", "method": method}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    pipeline.configure(STUDY | {"name": "another", "data": "digits"})
    planned = pipeline.planned("paper-small")
    assert (planned["pretrain"], planned["train"], planned["audit"], planned["claims"]) == (1, 2, 1, 2)
    built = pipeline("--until", "collect", "--keep-going", "paper-small")
    assert built.returncode == 0, built.stdout + built.stderr
    return pipeline


def test_studies_of_a_catalogue_are_one_plan_that_makes_once_what_they_share(catalogue):
    results = catalogue.folder / "results"
    assert {path.name for path in results.iterdir()} == {
        "shared",
        "paper-small-a",
        "paper-small-b",
    }
    assert len(list((results / "shared" / "starts").iterdir())) == 1
    assert {path.name for path in (results / "shared" / "logs").iterdir()} == {
        "prepare",
        "partition",
        "pretrain",
        "train",
    }
    assert len(list((results / "shared" / "runs").iterdir())) == 2
    planned = catalogue.planned("paper-small")
    assert not planned.keys() & {"prepare", "partition", "pretrain", "train", "collect"}
    assert planned["pdf"] == planned["claims"] == 2 and planned["audit"] == 1


def test_what_one_study_has_made_another_does_not_make_anew(catalogue):
    """Also where it asks by itself, and would have another configuration make it, or in another way."""
    made = {"prepare", "partition", "pretrain", "train"}
    again = catalogue.planned("--configfile", "config/paper-small/B.yaml")
    assert "pdf" in again and not again.keys() & {*made, "collect"}
    ranks = STUDY | {"name": "ranks", "method": "dimat", "communication": "ranks", "threads": 2}
    (catalogue.folder / "ranks.yaml").write_text(yaml.safe_dump(ranks))
    again = catalogue.planned("--configfile", "ranks.yaml")
    assert again["collect"] == 1 and not again.keys() & made


def test_a_study_that_is_removed_takes_nothing_from_others(catalogue):
    kept = catalogue.folder / "kept"
    shutil.move(catalogue.folder / "results" / "paper-small-a", kept)
    planned = catalogue.planned("paper-small")
    shutil.move(kept, catalogue.folder / "results" / "paper-small-a")
    assert planned["collect"] == 1
    assert not planned.keys() & {"prepare", "partition", "pretrain", "train"}


def test_a_mistake_in_a_catalogue_is_one_line_and_code_2(catalogue):
    file = catalogue.folder / "config" / "paper-small" / "C.yaml"
    file.write_text(yaml.safe_dump(STUDY | {"name": "paper-small-c", "agents": 0}))
    refused = catalogue("--dry-run", "paper-small")
    file.unlink()
    errors = [line for line in refused.stderr.splitlines() if "error" in line.lower()]
    assert refused.returncode == 2, refused.stderr
    assert len(errors) == 1 and errors[0].startswith("dimat: error: ") and "C.yaml: agents" in errors[0]


@pytest.mark.parametrize("name", ["quick", "cifar10", "paper/F8", "compare-digits", "compare-cifar10"])
def test_shipped_configurations_plan(name):
    command = ["snakemake", "--dry-run", "--quiet", "all", "--configfile", f"config/{name}.yaml"]
    assert forked(snakemake, command, PROJECT).returncode == 0
