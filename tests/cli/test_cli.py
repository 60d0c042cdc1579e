"""The command line: help, exit codes, and one line for every mistake."""

import os

import numpy
import pandas
import pytest
import torch

from dimat.agents.checkpoint import Checkpoint
from dimat.experiment.layout import Layout
from dimat.experiment.reading import parse_study
from dimat.experiment.runner import Runner
from dimat.io.files import read_tensors, write_tensors

STEPS = ["prepare", "partition", "pretrain", "train"]
COMMANDS = [*STEPS, "collect", "ids", "schema"]


@pytest.fixture
def made(small, tmp_path):
    """The small study below ``tmp_path``/results, pre-trained but not yet trained: (runner, start, run)."""
    runner = Runner(parse_study(small, "small"), Layout(tmp_path / "results" / "small"))
    study = runner.study
    (prepared,), (partitioned,), (start,) = (
        items.values() for items in (study.prepared, study.partitioned, study.pretrained)
    )
    runner.prepare(prepared)
    runner.partition(partitioned)
    runner.pretrain(start)
    return runner, start, *study.runs.values()


def assert_mistake(done, *words):
    """Exit code 2, and as the last line of progress one error line that holds all ``words``."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert [line.startswith("dimat: error:") for line in lines] == [False] * (len(lines) - 1) + [True], (
        done.stderr
    )
    for word in words:
        assert str(word) in lines[-1]


# In a process of their own, as users run it.


def test_help_of_the_program_names_every_command(dimat_process):
    done = dimat_process("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert command in done.stdout


def test_a_mistake_is_one_line_and_exit_code_2(dimat_process, small, write_config, tmp_path):
    config = write_config(small | {"agents": 0})
    done = dimat_process("train", config)
    assert_mistake(done, config, "agents")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_all_steps_from_configuration_to_records(dimat_process, small, write_config, tmp_path):
    config = write_config(small)
    before = set(tmp_path.iterdir())
    for step in [*STEPS, "collect"]:
        done = dimat_process(step, config)
        assert done.returncode == 0, done.stderr
    assert set(tmp_path.iterdir()) - before == {tmp_path / "results"}
    records = pandas.read_csv(tmp_path / "results" / "small" / "records.csv")
    accuracies = records.value[records.metric == "test_accuracy"]
    # three agents; the start, four merges, and the three trainings in between
    assert len(accuracies) == 3 * (1 + 4 + 3)
    assert accuracies.between(0, 1).all()
    runs = pandas.read_csv(tmp_path / "results" / "small" / "runs.csv")
    assert set(runs["metric.examples"]) == {small["data"]["test_limit"]} and runs["metric.share"].all()


# In this process.


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(dimat, command):
    done = dimat(command, "--help")
    assert done.returncode == 0
    assert command in done.stdout
    assert done.stderr == ""


def test_what_is_there_is_not_made_again(dimat, small, write_config, tmp_path):
    config = write_config(small)
    assert dimat("prepare", config).returncode == 0
    (made,) = (tmp_path / "results" / "shared" / "data").iterdir()
    before = made.stat().st_mtime_ns
    assert dimat("prepare", config).returncode == 0
    assert made.stat().st_mtime_ns == before
    assert dimat("prepare", config, "--only", made.stem).returncode == 0
    assert made.stat().st_mtime_ns > before


def test_ids_are_those_that_only_accepts(dimat, small, write_config):
    config = write_config(small)
    listed = [line.split() for line in dimat("ids", config).stdout.splitlines()]
    study = parse_study(small, "small")
    assert {id for kind, id in listed if kind == "run"} == set(study.runs)
    assert {id for kind, id in listed if kind == "pretrained"} == set(study.pretrained)
    (prepared,) = (id for kind, id in listed if kind == "prepared")
    assert dimat("prepare", config, "--only", prepared).returncode == 0


@pytest.mark.parametrize("command", [*STEPS, "collect"])
def test_a_bad_configuration_creates_nothing(dimat, small, write_config, tmp_path, command):
    config = write_config(small | {"agents": 0})
    done = dimat(command, config)
    assert_mistake(done, config, "agents")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_a_missing_configuration(dimat, tmp_path):
    assert_mistake(dimat("train", "nowhere.yaml"), "nowhere.yaml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", STEPS)
def test_an_unknown_id(dimat, small, write_config, command):
    assert_mistake(dimat(command, write_config(small), "--only", "nobody"), "--only", "nobody")


@pytest.mark.parametrize(
    ("command", "missing"), [("partition", "data"), ("pretrain", "data"), ("train", "data")]
)
def test_a_step_before_its_turn_names_the_missing_file(
    dimat, small, write_config, command, missing, tmp_path
):
    done = dimat(command, write_config(small))
    assert_mistake(done, f"{missing}/digits-", "no such file")
    assert not (tmp_path / "results" / "shared" / "runs").exists()


def test_collecting_before_training_names_the_missing_file(dimat, small, write_config):
    (run,) = parse_study(small, "small").runs
    assert_mistake(dimat("collect", write_config(small)), run)


def test_results_that_are_a_file(dimat, small, write_config, tmp_path):
    (tmp_path / "taken").write_text("a file")
    assert_mistake(dimat("prepare", write_config(small), "--results", "taken"), "taken")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(dimat, made, small, write_config):
    assert_mistake(dimat("train", write_config(small | {"device": "cuda"})), "device", "cuda")


# Damaged files.


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "flipped bit":
        content[-5] ^= 1
    path.write_bytes(content[: len(content) // 2] if how == "truncated" else content)


@pytest.mark.parametrize("how", ["truncated", "flipped bit"])
def test_a_damaged_start(dimat, made, small, write_config, how):
    runner, start, run = made
    path = runner.layout.pretrained(start.id)
    damage(path, how)
    assert_mistake(dimat("train", write_config(small)), path.name, "delete it")
    assert not runner.layout.run(run.id).exists()


def test_a_missing_start(dimat, made, small, write_config):
    runner, start, _ = made
    runner.layout.pretrained(start.id).unlink()
    assert_mistake(dimat("train", write_config(small)), start.id, "no such file")


def test_the_start_of_another_experiment(dimat, made, small, write_config):
    runner, start, _ = made
    path = runner.layout.pretrained(start.id)
    tensors, about = read_tensors(path)
    write_tensors(path, tensors, about | {"start": "another"})
    assert_mistake(dimat("train", write_config(small)), path.name, "another experiment")


def test_a_start_with_other_networks(dimat, made, small, write_config):
    runner, start, _ = made
    path = runner.layout.pretrained(start.id)
    tensors, about = read_tensors(path)
    tensors["0/network/classifier.bias"] = torch.zeros(7)
    write_tensors(path, tensors, about)
    assert_mistake(dimat("train", write_config(small)), path.name, "other networks")


@pytest.mark.parametrize("how", ["truncated", "flipped bit"])
@pytest.mark.parametrize("step", ["pretrain", "train"])
def test_a_damaged_checkpoint(dimat, made, small, write_config, step, how):
    runner, start, run = made
    job = start if step == "pretrain" else run
    if step == "pretrain":
        runner.layout.pretrained(start.id).unlink()
    path = runner.layout.checkpoint(job.id)
    Checkpoint(path, job.model_dump(mode="json"), {}, 0).save(
        {"0/network/x": torch.zeros(1000)}, {"epochs": 1, "rounds": 1}
    )
    damage(path, how)
    assert_mistake(dimat(step, write_config(small)), path.name, "damaged", "delete it")


@pytest.mark.parametrize("step", ["pretrain", "train"])
def test_the_checkpoint_of_another_experiment(dimat, made, small, write_config, step):
    runner, start, run = made
    job, other = (start, run) if step == "pretrain" else (run, start)
    path = runner.layout.checkpoint(job.id)
    Checkpoint(path, other.model_dump(mode="json"), {}, 0).save({}, {"epochs": 1, "rounds": 1})
    if step == "pretrain":
        runner.layout.pretrained(start.id).unlink()
    assert_mistake(dimat(step, write_config(small)), path.name, "another experiment")


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_partition(dimat, made, small, write_config, content):
    runner, start, _ = made
    path = runner.layout.partitioned(start.partitioned.id)
    path.write_text(content)
    assert_mistake(dimat("train", write_config(small)), path.name, "delete it")


def test_damaged_records(dimat, made, small, write_config):
    runner, _, run = made
    path = runner.layout.run(run.id)
    runner.train(run)
    content = path.read_text()
    path.write_text(content[: len(content) // 2].rsplit(",", 1)[0])
    assert_mistake(dimat("collect", write_config(small)), run.id, "damaged")


@pytest.mark.parametrize("content", ["", "run,data\n", "\udcff"])
def test_records_that_are_none(dimat, made, small, write_config, content):
    runner, _, run = made
    runner.train(run)
    path = runner.layout.run(run.id)
    path.write_bytes(os.fsencode(content))
    assert_mistake(dimat("collect", write_config(small)), run.id)


# Experiments that cannot succeed.


def test_training_that_diverges_names_the_agent_and_the_setting(dimat, made, small, write_config, tmp_path):
    runner, *_ = made
    # A weight decay of 1 multiplies every weight by -999 in each step, until it overflows.
    small["training"]["optimizer"] = {"name": "sgd", "learning_rate": 1000.0, "weight_decay": 1.0}
    small["training"]["pretrain_epochs"] = 20
    done = dimat("pretrain", write_config(small))
    assert_mistake(done, "agent 0", "learning_rate")
    study = parse_study(small, "small")
    assert not runner.layout.pretrained(*study.pretrained).exists()


@pytest.mark.parametrize("method", ["dimat", "wa", "local"])
@pytest.mark.parametrize("epochs", [1, 2, 3, 4])
def test_training_that_diverges_in_its_last_step(dimat, small, write_config, tmp_path, method, epochs):
    """After some number of epochs the loss is finite, but the weights are not any more."""
    small["training"] |= {
        "optimizer": {"name": "sgd", "learning_rate": 1000.0, "weight_decay": 1.0},
        "pretrain_epochs": epochs,
        "rounds": 1,
    }
    config = write_config(small | {"method": method})
    for step in STEPS:
        done = dimat(step, config)
        if done.returncode:
            assert_mistake(done, "agent", "learning_rate")
            return
    (path,) = (tmp_path / "results" / "shared" / "runs").glob("*/records.csv")
    assert numpy.isfinite(pandas.read_csv(path).value).all()


def test_a_last_batch_of_a_single_image(dimat, small, write_config):
    """Batch statistics of one value do not exist; such a batch must not end in a traceback."""
    small["model"]["widths"] = [3, 3, 3, 3, 3]  # feature maps of one pixel
    small["training"] |= {"batch_size": 49, "pretrain_epochs": 1, "rounds": 2}  # 150 / 3 = 49 + 1 images
    config = write_config(small)
    for step in STEPS:
        done = dimat(step, config)
        if done.returncode:
            assert_mistake(done)
            break


def test_more_agents_than_images(dimat, small, write_config):
    config = write_config(small | {"agents": 151})
    assert_mistake(dimat("prepare", config), "agents", 151, 150)  # before anything is read
