"""`dimat verify`: the last round of a finished run, carried out again from the checkpoint before it."""

import csv
import io

import pytest
from support.jobs import only_run, only_start, open_runner

from dimat.io.files import read_checked, read_tensors, write_checked, write_tensors


@pytest.fixture
def finished(tmp_path, small):
    """Trains the small study, with changes; returns its runner and the arguments that verify its run."""

    def train(**changes):
        changes.setdefault("keep_checkpoints", True)
        runner = open_runner(small | changes, tmp_path / "results")
        runner.pretrain(only_start(runner))
        runner.train(only_run(runner))
        return runner, only_run(runner), small | changes

    return train


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "dimat", "checkpoint_seconds": 1000},
        {"method": {"name": "dpsgd", "momentum": 0.9}},
        {"method": "swarm_sgd", "graph": {"name": "ring", "link_failures": 0.3}},
        {"method": "local", "training": {"pretrain_epochs": 1, "rounds": 1}},
    ],
    ids=["dimat", "dpsgd", "swarm_sgd with failures", "a single round"],
)
def test_a_finished_run_gives_its_numbers_again(finished, dimat, write_config, changes):
    _, run, content = finished(**changes)
    done = dimat("verify", write_config(content), "--only", run.id)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        f"{run.id}: round {run.training.rounds} gives the recorded numbers again"
    ]


@pytest.mark.parametrize("row", [0, 40, -1], ids=["first", "one between", "last"])
def test_another_number_in_the_records_is_named(finished, dimat, write_config, row):
    runner, run, content = finished()
    path = runner.layout.run(run.id)
    rows = list(csv.reader(io.StringIO(read_checked(path).decode())))
    changed = rows[1:][row]
    recorded, changed[-1] = changed[-1], str(float(changed[-1]) + 0.125)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_checked(path, text.getvalue().encode())
    done = dimat("verify", write_config(content), "--only", run.id)
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert line.startswith(run.id) and changed[-2] in line and f"round {changed[-6]}" in line
    assert f"{changed[-1]} is recorded, {recorded} comes out" in line


def test_a_checkpoint_with_another_weight_is_noticed(finished, dimat, write_config):
    runner, run, content = finished()
    path = runner.layout.last_round(run.id)
    tensors, about = read_tensors(path)
    next(iter(tensors.values())).flatten()[0] += 1
    write_tensors(path, tensors, about)
    done = dimat("verify", write_config(content))
    assert done.returncode == 1
    assert "round 4" in done.stdout and "comes out" in done.stdout


def test_without_its_checkpoint_a_run_cannot_be_verified(finished, dimat, write_config):
    runner, run, content = finished(keep_checkpoints=False)
    assert not runner.layout.last_round(run.id).exists()
    done = dimat("verify", write_config(content))
    assert done.returncode == 2
    assert "keep_checkpoints: true" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_checkpoint_is_kept_although_its_run_was_killed_at_its_very_end(finished, dimat, write_config):
    runner, run, content = finished()
    kept = runner.layout.last_round(run.id)
    kept.rename(runner.layout.checkpoint(run.id))  # the records are written, and nothing else is done
    config = write_config(content)
    assert dimat("train", config).returncode == 0
    assert kept.exists() and not runner.layout.checkpoint(run.id).exists()
    assert dimat("verify", config).returncode == 0
