"""Jobs that are asked to leave write a checkpoint, say so by their exit code, and end as if undisturbed."""

import os
import signal
import subprocess
import sys

import pytest
from support.jobs import assert_nothing_left_over, only_run, only_start, open_runner
from support.small import command

from dimat.experiment.interruption import EXIT_CODE


def interrupt(arguments, folder, number, after):
    """Start a job, send it a signal when it has logged ``after``; its exit code and what it said."""
    process = subprocess.Popen(command(*arguments), cwd=folder, stderr=subprocess.PIPE, text=True)
    said = []
    for line in process.stderr:
        said.append(line)
        if number and after in line:
            process.send_signal(number)
            number = None
    return process.wait(), "".join(said)


@pytest.mark.parametrize(
    ("step", "number", "after"),
    [
        ("pretrain", signal.SIGUSR1, "epoch 2 of"),
        ("train", signal.SIGTERM, "round 2 of"),
        ("train", signal.SIGHUP, "round 2 of"),
        ("train", signal.SIGINT, "round 2 of"),
        ("tune", signal.SIGTERM, "round 2 of"),
    ],
)
def test_a_job_that_is_asked_to_leave(tmp_path, small, write_config, step, number, after):
    small["training"] |= {"pretrain_epochs": 30, "rounds": 15}
    small["checkpoint_seconds"] = 1000  # no other checkpoint than that of the signal
    if step == "tune":
        small["tuning"] = {"factors": [1.0]}
    runner = open_runner(small, tmp_path)
    study, layout = runner.study, runner.layout
    if step != "pretrain":
        for start in study.pretrained.values():
            runner.pretrain(start)
    tuned = next(iter(study.tuned.values()), None)
    output = {
        "pretrain": lambda: layout.pretrained(only_start(runner).id),
        "train": lambda: layout.run(only_run(runner).id),
        "tune": lambda: layout.tuned(tuned.id),
    }[step]()

    arguments = [step, write_config(small), "--results", "."]
    code, said = interrupt(arguments, tmp_path, number, after)
    assert code == EXIT_CODE == 75, said
    assert "asked to leave; run again to go on after" in said
    assert not output.exists()
    assert list(layout.results.glob("*/checkpoints/*.safetensors"))

    jobs = {
        "pretrain": lambda: runner.pretrain(only_start(runner)),
        "train": lambda: runner.train(only_run(runner)),
        "tune": lambda: runner.tune(tuned),
    }
    jobs[step]()
    assert_nothing_left_over(layout)
    found = output.read_bytes()
    output.unlink()
    for path in layout.results.glob("*/runs/*/records.csv"):
        path.unlink()
    jobs[step]()
    assert output.read_bytes() == found


def test_a_job_that_was_started_with_nohup_outlives_its_terminal(tmp_path):
    program = """
import os, signal
from dimat.experiment import interruption

signal.signal(signal.SIGHUP, signal.SIG_IGN)
interruption.listen()
os.kill(os.getpid(), signal.SIGHUP)
print(interruption.asked_to_leave())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_a_second_control_c_does_not_wait(tmp_path):
    program = """
import os, signal
from dimat.experiment import interruption

interruption.listen()
os.kill(os.getpid(), signal.SIGINT)
print(interruption.asked_to_leave(), flush=True)
os.kill(os.getpid(), signal.SIGINT)
print("still there")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "True\n"
    assert "press Ctrl-C again" in done.stderr


def test_one_run_that_diverges_does_not_stop_the_others(tmp_path):
    program = """
from pathlib import Path
from dimat.agents.agents import Diverged
from dimat.cli import main as cli

def step(item):
    if item < 3:
        raise Diverged(f"training {item} diverged")
    Path(str(item)).touch()

cli.each({"one": 1, "two": 2, "three": 3, "four": 4}, None, Path, step)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert {path.name for path in tmp_path.iterdir()} == {"3", "4"}
    assert "2 of 4 diverged: one, two" in done.stderr.splitlines()[-1]


def test_no_further_run_is_begun(tmp_path):
    program = """
import os, signal, sys
from pathlib import Path
from dimat.cli import main as cli
from dimat.experiment import interruption

interruption.listen()
os.kill(os.getpid(), signal.SIGTERM)
cli.each({"one": 1, "two": 2}, None, Path, lambda item: Path(str(item)).touch())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ, capture_output=True, text=True
    )
    assert "asked to leave; run again to go on with one" in done.stderr
    assert list(tmp_path.iterdir()) == []
