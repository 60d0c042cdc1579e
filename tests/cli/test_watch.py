"""How far a study has come, from its files alone."""

import os
import re
import signal
import statistics
import subprocess
import time

import pytest
from support.jobs import open_runner
from support.small import SMALL, command

from dimat.experiment.layout import Layout
from dimat.experiment.progress import Observer, labels_of, last_line
from dimat.experiment.reading import parse_study
from dimat.experiment.records import final_value
from dimat.io.files import as_json

TRAINING = {"pretrain_epochs": 1, "rounds": 4, "epochs": 1, "batch_size": 25}
STUDY = SMALL | {"method": ["dimat", "wa"], "seeds": [0, 1], "training": TRAINING}


def table(output):
    """The cells of all tables, row by row."""
    rows = [re.split("[│┃]", line) for line in output.splitlines() if re.search("[│┃]", line)]
    return [[cell.strip() for cell in row if cell.strip()] for row in rows]


def files_in(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


@pytest.fixture
def half_done(tmp_path, write_config):
    """A study with its starts and one of four runs."""
    config = write_config(STUDY)
    runner = open_runner(STUDY, tmp_path / "results")
    for start in runner.study.pretrained.values():
        runner.pretrain(start)
    run = next(iter(runner.study.runs.values()))
    runner.train(run)
    return config, runner, run


def test_what_is_done_is_said_and_nothing_is_written(dimat, half_done, tmp_path):
    config, runner, run = half_done
    before = files_in(tmp_path)
    done = dimat("watch", config, "--once")
    assert done.returncode == 0
    assert done.stdout.startswith("small: nothing runs, about ")
    assert table(done.stdout)[1:5] == [
        ["prepare", "1", "0", "1"],
        ["partition", "2", "0", "2"],
        ["pretrain", "2", "0", "2"],
        ["train", "1", "0", "4"],
    ]
    value = 100 * final_value(runner.layout.run(run.id), 4, "test_accuracy")
    assert ["DIMAT", f"{value:.4g} %", "1 of 2"] in table(done.stdout)
    assert ["WA", "0 of 2"] in table(done.stdout)
    assert files_in(tmp_path) == before


def test_a_job_that_has_begun_is_shown_by_what_it_said_last(dimat, half_done):
    config, runner, _ = half_done
    run = list(runner.study.runs.values())[1]
    log = runner.layout.log("train", run.id)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(
        "10:00:00 resumed after round 1\n10:00:01 round 2 of 4, trained: mean test accuracy 40 %\n"
    )
    begun = [row for row in table(dimat("watch", config, "--once").stdout) if row[0].startswith("train d")]
    assert len(begun) == 1
    observer = Observer(runner.study, runner.layout)
    there = observer.look()
    assert [(each.name, each.share, each.runs) for each in there.begun] == [(f"train {run.id}", 0.5, True)]
    assert there.steps[-1] == type(there.steps[-1])("train", 4, 1, 1)
    log.write_text("10:00:01 round 3 of 4, trained: mean test accuracy 40 %\n")
    later = observer.look()
    assert later.seconds < there.seconds
    an_hour_ago = time.time() - 3600
    os.utime(log, (an_hour_ago, an_hour_ago))
    assert not observer.look().begun[0].runs  # killed, and still shown
    assert dimat("watch", config, "--once").stdout.startswith("small: nothing runs")


def test_a_finished_study_ends_the_watching(dimat, half_done):
    config, runner, _ = half_done
    for run in runner.study.runs.values():
        if not runner.layout.run(run.id).exists():
            runner.train(run)
    done = dimat("watch", config)
    assert done.returncode == 0
    assert "small: all runs are done" in done.stdout
    values = [
        final_value(runner.layout.run(run.id), 4, "test_accuracy")
        for run in runner.study.runs.values()
        if run.method.name == "wa"
    ]
    words = f"{100 * statistics.mean(values):.4g} ± {100 * statistics.stdev(values):.2g} %"
    assert ["WA", words, "2 of 2"] in table(done.stdout)


def test_a_folder_of_results_is_its_study(dimat, half_done, tmp_path):
    _, runner, _ = half_done
    runner.layout.root.mkdir()
    refused = dimat("watch", tmp_path / "results" / "small", "--once")
    assert refused.returncode == 2
    assert "holds no study.json; expected a configuration file" in refused.stderr
    runner.layout.study.write_bytes(as_json(runner.study.resolved()))
    found = dimat("watch", tmp_path / "results" / "small", "--once")
    assert ["train", "1", "0", "4"] in table(found.stdout)


def test_damaged_records_are_named_and_not_counted(dimat, half_done):
    config, runner, run = half_done
    path = runner.layout.run(run.id)
    path.write_bytes(path.read_bytes()[:-20])
    output = dimat("watch", config, "--once").stdout
    assert f"cannot be read: {run.id}" in " ".join(output.split())


def test_it_follows_a_sweep_that_is_killed(half_done, write_config):
    """Beside another process that locks what it writes, and after it is gone."""
    longer = STUDY | {"training": STUDY["training"] | {"rounds": 60}}
    config = write_config(longer, "longer.yaml")
    study = parse_study(longer, "longer")
    observer = Observer(study, Layout(config.parent / "results" / "small"))
    process = subprocess.Popen(command("sweep", config), cwd=config.parent, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not (standing := observer.look()).begun and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert standing.begun[0].runs
    assert observer.look().seconds > 0


def test_settings_are_told_apart_by_what_differs():
    study = parse_study(
        STUDY
        | {"graph": ["ring", "complete"]}
        | {"variants": [{"protocol": "attacked", "attack": "permuted", "graph": "ring", "method": "wa"}]},
        "study",
    )
    assert {label: len(runs) for label, runs in labels_of(study.runs).items()} == {
        "DIMAT, ring": 2,
        "DIMAT, complete": 2,
        "WA, ring": 2,
        "WA, complete": 2,
        "attacked, WA, ring, permuted": 2,
    }


def test_the_last_line_is_the_last_that_says_how_far(tmp_path):
    log = tmp_path / "log"
    log.write_text("x" * 9000 + "\n12:00:00 epoch 2 of 9 done\n12:00:01 a warning [of] something\n")
    assert last_line(log) == "epoch 2 of 9 done"
    log.write_text("only this")
    assert last_line(log) == "only this"
    assert last_line(tmp_path / "none") == ""
