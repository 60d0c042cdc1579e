"""Logs for the dashboards of others: they say what is recorded, and change nothing of it."""

from importlib.util import find_spec
from statistics import mean

import pytest
from support.jobs import only_run, open_runner
from support.small import SMALL

from dimat.experiment.logs import Kind, noted, values_of
from dimat.experiment.records import Measurement, read_records
from dimat.experiment.runner import Runner

TRAINING = {"pretrain_epochs": 1, "rounds": 3, "epochs": 1, "batch_size": 50}
STUDY = SMALL | {"training": TRAINING}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home and a working directory that must stay empty."""
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize("kind", Kind)
def test_a_log_changes_no_record_and_lies_in_the_results(kind, tmp_path, home):
    if find_spec(kind) is None:  # not imported here: some look for their folder when they are
        pytest.skip("it is not installed")
    runner = open_runner(STUDY, tmp_path / "results")
    run = only_run(runner)
    runner.pretrain(run.pretrained)
    runner.train(run)
    plain = runner.layout.run(run.id).read_bytes()
    runner.layout.run(run.id).unlink()
    Runner(runner.study, runner.layout, log=kind).train(run)
    assert runner.layout.run(run.id).read_bytes() == plain
    assert [path for path in (runner.layout.logged / kind).rglob("*") if path.is_file()]
    assert not list(home.rglob("*"))


def test_tensorboard_shows_what_is_recorded(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    runner = open_runner(STUDY, tmp_path / "results")
    run = only_run(runner)
    runner.pretrain(run.pretrained)
    Runner(runner.study, runner.layout, log=Kind.tensorboard).train(run)
    found = EventAccumulator(str(runner.layout.logged / "tensorboard" / run.id))
    found.Reload()
    rows = read_records(runner.layout.run(run.id))
    accuracy = rows[(rows.metric == "test_accuracy") & rows.stage.isin(["start", "merged"])]
    expected = accuracy.groupby("round").value.mean()
    shown = {each.step: each.value for each in found.Scalars("merged/test_accuracy")}
    assert shown == pytest.approx(expected.to_dict(), rel=1e-6)
    second = accuracy[accuracy.agent == 1].set_index("round").value
    shown = {each.step: each.value for each in found.Scalars("merged/test_accuracy/agent 1")}
    assert shown == pytest.approx(second.to_dict(), rel=1e-6)
    assert len(found.Scalars("trained/disagreement")) == 2


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("step", ["train", "sweep"])
def test_what_is_not_installed_is_named_before_anything_is_done(kind, step, dimat, write_config, tmp_path):
    if find_spec(kind) is not None:
        pytest.skip("it is installed")
    done = dimat(step, write_config(STUDY), "--log", kind)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"dimat: error: --log: {kind} is not installed, which this needs; pip install {kind}"
    ]
    assert not (tmp_path / "results").exists()


def test_a_log_that_there_is_not_is_refused(dimat, write_config):
    done = dimat("train", write_config(STUDY), "--log", "paper")
    assert done.returncode == 2
    assert "paper" in done.stderr
    assert "tensorboard" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_values_are_those_of_agents_and_their_mean(tmp_path):
    run = only_run(open_runner(STUDY, tmp_path))
    rows = [
        Measurement(2, "merged", 0, "", "test_accuracy", 0.5),
        Measurement(2, "merged", 2, "", "test_accuracy", 0.7),
        Measurement(2, "merged", 0, "", "test_accuracy", 0.1, part=1),
        Measurement(2, "merged", 0, "", "gradient_steps", 8.0),
        Measurement(2, "merged", None, "", "disagreement", 3.0),
        Measurement(2, "merged", None, "layer", "moved_share", 0.2),
    ]
    assert values_of(rows, run) == {
        "merged/test_accuracy": mean([0.5, 0.7]),
        "merged/test_accuracy/agent 0": 0.5,
        "merged/test_accuracy/agent 2": 0.7,
        "merged/disagreement": 3.0,
    }
    with noted(None, run, tmp_path / "nowhere") as note:
        note(rows)
    assert not (tmp_path / "nowhere").exists()
