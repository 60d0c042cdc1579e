"""A whole study in one process: what single commands give, in the best order, and within the time."""

import copy
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import torch
from support.faults import STUDY, TRAINING, Study
from support.pictures import fill
from support.small import command

from dimat.data import ImageSet
from dimat.data.folder import open_tree
from dimat.experiment import interruption
from dimat.experiment.interruption import Interrupted, asked_to_leave, has_time_for, leave_by
from dimat.experiment.jobs import in_order, jobs_of
from dimat.experiment.kept import KeptData
from dimat.experiment.layout import Layout
from dimat.experiment.reading import parse_study, read_study
from dimat.experiment.records import read_records
from dimat.experiment.sweep import join_in_time, sweep
from dimat.io.files import read_tensors, write_tensors
from paper.figures import figures_of
from paper.shown import by_id
from paper.tables import tables_of
from paper.tables.final import FinalTable

LARGE = {
    "model": {"name": "resnet20", "width": 32},
    "data": {"name": "digits", "train_limit": 1300, "test_limit": 30},
    "tuning": None,
}
"""What makes a study of one that a CPU does not do in a minute."""


def results(study):
    """All that a study wrote, but for what it said on the way."""
    return {name: content for name, content in study.contents().items() if "/logs/" not in name}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The small study, made by its single commands, and what they wrote."""
    study = Study(tmp_path_factory.mktemp("single"), seeds=[0, 1])
    for step in TRAINING:
        code, said = study(step)
        assert code == 0, said
    return results(study)


@pytest.fixture
def swept(tmp_path):
    """The same study, of which nothing is done."""
    return Study(tmp_path / "swept", seeds=[0, 1])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same study after a sweep, and what that said."""
    study = Study(tmp_path_factory.mktemp("whole"), seeds=[0, 1])
    code, said = study("sweep")
    assert code == 0, said
    return study, said


def test_a_sweep_gives_what_single_commands_give(made, whole):
    study, _ = whole
    assert results(study) == made
    assert not study.temporary()


def test_the_terminal_has_a_line_for_each_job(whole):
    study, said = whole
    jobs = jobs_of([(study.study, study.layout)])
    first, *lines, last = said.splitlines()
    assert f"{len(jobs)} of {len(jobs)} to do" in first and "records.csv written" in last
    assert len(lines) == len(jobs)
    for number, (job, line) in enumerate(zip(jobs.values(), lines, strict=True), 1):
        assert f"{job.name}: done in" in line and f"{len(jobs) - number} remain" in line
    run = next(iter(study.study.runs))
    assert "round 3 of 3, merged" in study.layout.log("train", run).read_text()


def test_a_second_sweep_has_nothing_to_do(made, whole):
    study, _ = whole
    before = {
        path: path.stat().st_mtime_ns for path in study.layout.results.glob("*/*/**/*") if path.is_file()
    }
    code, said = study("sweep")
    assert code == 0 and "0 of" in said
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert results(study) == made


def test_processes_beside_each_other_give_what_one_gives(made, swept):
    code, said = swept("sweep", "--processes", "2")
    assert code == 0, said
    assert results(swept) == made
    assert not swept.temporary()
    run = next(iter(swept.study.runs))
    assert "round 3 of 3, merged" in swept.layout.log("train", run).read_text()


def test_what_studies_share_is_done_once(dimat, small, write_config, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    files = [
        write_config(small | {"name": name, "method": ["dimat", name]}, name) for name in ("wa", "local")
    ]
    done = dimat("sweep", *files, "--processes", 2)
    assert done.returncode == 0, done.stderr
    said = [line.split(":")[0] for line in caplog.messages if ": done in" in line]
    assert len(said) == len(set(said))
    assert sum(line.startswith("pretrain ") for line in said) == 1
    assert sum(line.startswith("train ") for line in said) == 3
    assert all((tmp_path / "results" / name / "records.csv").is_file() for name in ("wa", "local"))


def test_an_archive_is_completed_from_the_starts_that_more_runs_need(
    dimat, small, write_config, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    done, more = (
        write_config(small | {"name": name, "seeds": [0, 1], "method": methods}, name)
        for name, methods in (("done", ["dimat"]), ("more", ["dimat", "wa"]))
    )
    archive = tmp_path / "archive.tar.xz"
    for arguments in (
        ("sweep", done),
        ("archive", done, "--output", archive),
        ("unpack", archive, "--results", "again"),
        ("sweep", done, "--results", "again"),
    ):
        assert (result := dimat(*arguments)).returncode == 0, result.stderr
    shared = tmp_path / "again" / "shared"
    assert not list(shared.glob("starts/**/*.safetensors")) and not list(shared.glob("data/**/*.safetensors"))
    caplog.clear()
    assert dimat("sweep", more, "--results", "again").returncode == 0
    said = [line.split()[0] for line in caplog.messages if ": done in" in line]
    assert sorted(said) == ["prepare", "pretrain", "pretrain", "train", "train"]
    files = [tmp_path / folder / "done" / "records.csv" for folder in ("results", "again")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_mistake_that_a_process_finds_is_one_line(dimat, small, write_config, tmp_path):
    config = write_config(small | {"method": ["dimat", "wa"]})
    assert dimat("sweep", config).returncode == 0
    for run in (tmp_path / "results" / "shared" / "runs").iterdir():
        shutil.rmtree(run)
    (start,) = (tmp_path / "results" / "shared" / "starts").rglob("*.safetensors")
    start.write_bytes(b"nothing")
    done = dimat("sweep", config, "--processes", 2)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and start.name in done.stderr


@pytest.mark.parametrize("processes", ["0", "x", "1.5"])
def test_processes_are_a_number(processes, dimat, small, write_config):
    done = dimat("sweep", write_config(small), "--processes", processes)
    assert done.returncode == 2
    assert done.stderr.startswith("dimat: error: --processes: expected a whole number from 1 to 1024")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_processes_that_are_asked_to_leave_go_on_where_they_were(number, made, swept):
    process = swept.start("sweep", "--processes", "2")
    wait_for(process, lambda: "to do" in said_by(swept))
    wait_for(process, swept.temporary)
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)
    process.join()
    said = said_by(swept)
    assert process.exitcode in (0, 75), said
    assert process.exitcode == 0 or ("asked to leave; run again to go on" in said and " remain" in said)
    code, said = swept("sweep", "--processes", "2")
    assert code == 0, said
    assert results(swept) == made


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGINT])
def test_a_sweep_that_is_asked_to_leave_goes_on_where_it_was(number, made, swept):
    for turn in range(3):
        process = swept.start("sweep")
        wait_for(process, lambda: "to do" in said_by(swept))  # it listens
        wait_for(process, swept.temporary)
        time.sleep(0.2 * turn)
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
        process.join()
        code, said = process.exitcode, said_by(swept)
        (swept.folder / "log").unlink()
        assert code in (0, 75), said
        assert code == 0 or ("asked to leave; run again to go on" in said and " remain" in said)
    code, said = swept("sweep")
    assert code == 0, said
    assert results(swept) == made
    assert not swept.temporary()


def said_by(study):
    log = study.folder / "log"
    return log.read_text() if log.exists() else ""


def wait_for(process, condition):
    while process.is_alive() and not condition():
        time.sleep(0.005)


def test_a_sweep_ends_before_its_minutes_do(made, swept):
    for _ in range(2):
        began = time.monotonic()
        code, said = swept("sweep", "--minutes", "0.1")
        assert time.monotonic() - began < 6 + 0.5
        assert code == 0 or (code == 75 and "run again to go on" in said), said
    code, said = swept("sweep", "--minutes", "10")
    assert code == 0, said
    assert results(swept) == made


def test_what_cannot_reach_a_checkpoint_is_not_begun(tmp_path):
    study = Study(tmp_path, **LARGE)
    code, said = study("sweep", "--minutes", "0.7")
    assert code == 75
    assert "out of time; run again to go on with pretrain" in said.splitlines()[-1]
    assert {path.parent.name for path in study.layout.results.rglob("*.*")} <= {
        "data",
        "partitions",
        "logs",
    } | {
        "prepare",
        "partition",
    }


@pytest.fixture
def limit():
    """A time limit in so many seconds, for the length of a test."""
    yield lambda seconds: leave_by(time.monotonic() + seconds)
    leave_by(None)


@pytest.fixture
def two(whole, tmp_path):
    """A study that is too large for a short time, and one whose runs are all there, but not joined."""
    done = whole[0]
    shutil.copytree(done.layout.results, tmp_path / "results")
    large = parse_study(STUDY | {"name": "large"} | LARGE, "large")
    layouts = [Layout(tmp_path / "results" / study.name) for study in (large, done.study)]
    shutil.rmtree(layouts[1].root)
    return [(large, layouts[0]), (done.study, layouts[1])]


def test_what_is_complete_is_joined_although_a_sweep_is_out_of_time(two, whole, limit):
    limit(30)
    with pytest.raises(Interrupted, match="out of time; run again to go on with pretrain"):
        sweep(two, end=time.monotonic() + 30)
    for kind in ("runs", "records"):
        joined = [getattr(layout, kind) for layout in (whole[0].layout, two[1][1])]
        assert joined[0].read_bytes() == joined[1].read_bytes()
    assert not two[0][1].records.exists()


def test_what_there_is_no_time_to_join_is_said_to_be_left(two, caplog):
    join_in_time(two, time.monotonic())
    assert not two[1][1].records.exists()
    assert caplog.messages == [f"{two[1][0].name}: all runs are there, and left to join (dimat collect)"]


def test_a_mistake_in_records_keeps_nobody_from_leaving(two, caplog):
    (study, layout) = two[1]
    run = next(iter(study.runs))
    layout.run(run).write_text("run\n")
    join_in_time(two, None)
    assert not layout.records.exists()
    (said,) = caplog.messages
    assert said.startswith(f"{study.name}: not joined: {layout.run(run)}")


def test_a_limit_is_a_request_when_another_round_would_not_fit(limit, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(interruption.time, "monotonic", lambda: now[0])
    limit(105.0)
    assert has_time_for(40, saving=10)
    now[0] += 40  # the first round
    assert not asked_to_leave()  # a round of 40 s and a checkpoint of 10 s fit in 65, with a quarter to spare
    now[0] += 1
    assert asked_to_leave(saving=10)
    assert not asked_to_leave(saving=1)
    assert not has_time_for(40, saving=10)  # another job's first round
    assert has_time_for(20, saving=10)


def test_what_takes_longer_than_ever_ends_in_the_middle(limit):
    limit(interruption.LEAVING + 0.2)
    began = time.monotonic()
    with pytest.raises(Interrupted, match="out of time; run again to go on after the last checkpoint"):
        while time.monotonic() - began < 10:
            time.sleep(0.01)
    assert time.monotonic() - began < 1


def test_a_limit_in_the_middle_of_an_image_is_no_damage(limit, tmp_path):
    fill(tmp_path / "images")
    with open_tree(tmp_path / "images") as tree:
        image = next(name for names in tree.by_class("train").values() for name in names)
        limit(interruption.LEAVING + 0.2)
        began = time.monotonic()
        with pytest.raises(Interrupted):
            while time.monotonic() - began < 10:
                tree.image(image)


def test_without_a_limit_nobody_is_asked():
    assert not asked_to_leave(saving=1e9) and has_time_for(1e9, 1e9)


def test_all_settings_with_their_first_seed_come_before_any_with_its_second(small):
    variants = [{"method": "wa", "seeds": [7, 8]}, {"partition": "classes", "seeds": 5}]
    study = parse_study(small | {"method": ["dimat", "dpsgd"], "seeds": [3, 1], "variants": variants}, "s")
    found = [(run.method.name, run.partition.name, run.seed) for run in in_order(study.runs)]
    assert found == [
        ("dimat", "iid", 3),
        ("dpsgd", "iid", 3),
        ("wa", "iid", 7),
        ("dimat", "classes", 5),
        ("dpsgd", "classes", 5),
        ("dimat", "iid", 1),
        ("dpsgd", "iid", 1),
        ("wa", "iid", 8),
    ]


def test_jobs_come_after_what_they_need(small, tmp_path):
    study = parse_study(small | {"method": ["dimat", "pooled"], "seeds": [0, 1], "tuning": {}}, "small")
    jobs = jobs_of([(study, Layout(tmp_path / "small"))])
    names = list(jobs)
    kinds = ("prepared", "partitioned", "pretrained", "tuned", "runs")
    assert len(jobs) == sum(len(getattr(study, kind)) for kind in kinds)
    for name, job in jobs.items():
        assert all(names.index(before) < names.index(name) for before in job.after)
    trained = [name for name in names if name.startswith("train ")]
    started = [name for name in names if name.startswith("pretrain ") and "seed1-" in name]
    # the second seed's starts are made when they are needed, not before
    assert all(names.index(trained[1]) < names.index(name) for name in started)


def test_one_run_that_diverges_does_not_stop_the_others(dimat, small, write_config, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    small["method"] = [{"name": "dpsgd", "learning_rate": 1e3}, "dimat", "local"]
    done = dimat("sweep", write_config(small))
    assert done.returncode == 2
    (error,) = done.stderr.splitlines()
    assert error.startswith("dimat: error: ") and "diverged" in error and "1 of 3 runs are not there" in error
    (line,) = (line for line in caplog.messages if "diverged in" in line)
    assert "train digits-plain-iid-3-ring-dpsgd" in line
    found = {path.parent.name for path in (tmp_path / "results" / "shared" / "runs").glob("*/records.csv")}
    assert len(found) == 2 and not any("dpsgd" in name for name in found)
    assert not (tmp_path / "results" / "small" / "records.csv").exists()


def test_what_diverges_goes_on_where_that_is_recorded(dimat, small, write_config, tmp_path):
    small |= {"method": [{"name": "dpsgd", "learning_rate": 1e3}, "dimat"], "divergence": "recorded"}
    small |= {"measures": ["parts", "mean_model", "training_loss"]}
    config = write_config(small)
    assert dimat("sweep", config).returncode == 0
    layout = Layout(tmp_path / "results" / "small")
    records = read_records(layout.records)
    lost = records[records.metric == "diverged"]
    assert set(lost.value) == {1.0} and all("dpsgd" in run for run in lost.run)
    last = records[(records["round"] == small["training"]["rounds"]) & (records.stage == "merged")]
    assert set(last[last.metric == "diverged"].agent) == set(range(small["agents"]))
    answers = last[last.run.isin(lost.run) & (last.metric == "test_accuracy")].value
    data = ImageSet.load(next(layout.shared.root.glob("data/*.safetensors")))
    first = float((data.test_labels == 0).double().mean())  # no numbers are told apart: the first class
    assert answers.tolist() == pytest.approx([first] * small["agents"])
    study = read_study(config)
    (table,) = (each for each in tables_of(study).values() if each.kind == "progress")
    assert len(table.rows(layout)) == 2
    (final,) = by_id([FinalTable], study).values()
    cells = final.rows(layout).set_index("method")["final"]
    assert cells["D-PSGD"].startswith("† ") and not cells["DIMAT"].startswith("†")
    assert "left the finite numbers" in final.caption()
    for figure in figures_of(study).values():
        if figure.kind in ("progress", "training-loss", "mean-model", "parts", "costs"):
            assert figure.draw(layout) is not None


def test_what_needs_a_start_that_diverged_is_not_begun(dimat, small, write_config, caplog):
    caplog.set_level(logging.INFO)
    small["training"]["optimizer"] = {"name": "sgd", "learning_rate": 1e3}
    small["training"]["pretrain_epochs"] = 30
    small["method"] = ["dimat", "local"]
    done = dimat("sweep", write_config(small))
    assert done.returncode == 2
    assert caplog.text.count("not begun, as pretrain digits-plain-iid-3-seed0") == 2
    assert "2 of 2 runs are not there" in done.stderr.splitlines()[-1]


def test_processes_for_agents_are_refused_in_one_line(dimat, small, write_config, tmp_path):
    done = dimat("sweep", write_config(small | {"communication": "ranks"}))
    assert done.returncode == 2
    assert done.stderr.startswith("dimat: error: communication: 'ranks' needs a process for each agent")
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "results").exists()


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "x"])
def test_minutes_are_a_number(minutes, dimat, small, write_config):
    done = dimat("sweep", write_config(small), "--minutes", minutes)
    assert done.returncode == 2
    assert done.stderr.startswith("dimat: error: --minutes: expected a finite number from 0.1")
    assert len(done.stderr.splitlines()) == 1


def test_data_are_read_once(small, tmp_path, monkeypatch):
    read = []
    load = ImageSet.load
    monkeypatch.setattr(ImageSet, "load", lambda path: read.append(path) or load(path))
    study = parse_study(small | {"method": ["dimat", "local", "dpsgd"], "seeds": [0, 1]}, "small")
    sweep([(study, Layout(tmp_path / "small"))])
    assert len(read) == 1


@pytest.fixture
def data_files(digits, tmp_path):
    """Three prepared data sets of one size."""
    paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for path in paths:
        digits.save(path)
    return paths


def test_data_that_are_kept_are_read_again_when_they_change(data_files):
    kept, path = KeptData(), data_files[0]
    first = kept.load(path, torch.device("cpu"))
    assert kept.load(path, torch.device("cpu")) is first
    tensors, about = read_tensors(path)
    tensors["train_images"][0] += 1
    write_tensors(path, tensors, about)
    again = kept.load(path, torch.device("cpu"))
    assert again.fingerprint != first.fingerprint
    assert again.fingerprint == again.images.fingerprint()


def test_no_more_data_are_kept_than_there_is_room_for(data_files):
    one, two, three = data_files
    kept = KeptData(most=2 * one.stat().st_size)
    cpu = torch.device("cpu")
    first, second = kept.load(one, cpu), kept.load(two, cpu)
    assert kept.load(one, cpu) is first
    kept.load(three, cpu)  # the second was used longest ago
    assert kept.load(one, cpu) is first
    assert kept.load(two, cpu) is not second
    nothing = KeptData(most=one.stat().st_size - 1)
    assert nothing.load(one, cpu) is not nothing.load(one, cpu)


NOT_NEEDED = ("snakemake", "pandas", "matplotlib", "cvxpy", "sklearn", "torchvision", "flint", "typst")


def test_a_sweep_and_its_archive_need_torch_and_little_else(small, tmp_path, write_config):
    """As on a machine where nothing else is installed: no other import is even tried."""
    fill(tmp_path / "images")
    small |= {"data": {"name": "folder", "path": "images"}, "agents": 2, "method": ["dimat", "wa", "dpsgd"]}
    small["training"] |= {"batch_size": 2, "rounds": 2}
    config = str(write_config(small))
    program = f"""
import sys
for name in {NOT_NEEDED}:
    sys.modules[name] = None  # to import it is an error
from dimat.cli.main import main
for sys.argv in (["dimat", "sweep", {config!r}], ["dimat", "archive", {config!r}, "-o", "small.tar.xz"]):
    try:
        main()
    except SystemExit as end:
        assert not end.code
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "small.tar.xz").is_file()
    assert (tmp_path / "results" / "small" / "records.csv").is_file()


def test_a_sweep_is_a_command(small, write_config, tmp_path):
    done = subprocess.run(
        command("sweep", write_config(copy.deepcopy(small))), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "records.csv written" in done.stderr
