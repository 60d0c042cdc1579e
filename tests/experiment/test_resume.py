"""Jobs that are killed, and started again, end with the numbers of undisturbed ones, bit for bit."""

import logging
import random
import subprocess
import time

import pytest
import torch
from support.jobs import assert_nothing_left_over, only_run, only_start, open_runner
from support.small import command

from dimat.io.files import read_json


class Interruption(BaseException):
    """Nothing in the code under test may catch this."""


@pytest.fixture
def interrupted():
    """Runs a job until it has logged so many messages, and returns whether it was interrupted there."""
    logger = logging.getLogger("dimat")

    def run(job, messages):
        left = messages

        def count(record):
            nonlocal left
            left -= 1
            if left < 0:
                raise Interruption
            return True

        logger.addFilter(count)
        try:
            job()
        except Interruption:
            return True
        finally:
            logger.removeFilter(count)
        return False

    level = logger.level
    logger.setLevel(logging.INFO)
    yield run
    logger.setLevel(level)


OPTIMIZERS = [
    ("reset", {"name": "adam"}),
    ("kept", {"name": "adam"}),
    ("kept", {"name": "momentum", "learning_rate": 0.05}),
    ("kept", {"name": "momentum", "nesterov": True, "warmup": 2, "milestones": [1, 3]}),
    ("kept", {"name": "sgd", "learning_rate": 0.1}),
]


# Interrupted at every message, in this process.


@pytest.mark.parametrize(("state", "optimizer"), OPTIMIZERS[1:])
def test_a_start_resumed_after_every_epoch(tmp_path, small, interrupted, state, optimizer):
    small["training"] |= {"optimizer": optimizer, "optimizer_state": state}
    runner = open_runner(small, tmp_path)
    start = only_start(runner)
    runner.pretrain(start)
    path = runner.layout.pretrained(start.id)
    undisturbed = path.read_bytes()
    for messages in range(small["training"]["pretrain_epochs"]):
        path.unlink()
        assert interrupted(lambda: runner.pretrain(start), messages)
        assert not path.exists()
        runner.pretrain(start)
        assert path.read_bytes() == undisturbed, f"interrupted after {messages} messages"
    assert_nothing_left_over(runner.layout)


@pytest.mark.parametrize(("state", "optimizer"), OPTIMIZERS)
def test_a_run_resumed_at_every_round(tmp_path, small, interrupted, long, state, optimizer):
    small["training"] |= {"optimizer": optimizer, "optimizer_state": state}
    small["training"] |= {"rounds": 3}
    small["calibration"] = {"limit": 40, "augmented": True}  # with random choices in the merge, too
    small["data"]["crop"] = 1
    runner = open_runner(small, tmp_path)
    runner.pretrain(only_start(runner))
    run = only_run(runner)
    runner.train(run)
    path = runner.layout.run(run.id)
    undisturbed = path.read_bytes()
    messages = 0
    while True:
        path.unlink()
        if not interrupted(lambda: runner.train(run), messages):
            break
        assert not path.exists()
        runner.train(run)
        assert path.read_bytes() == undisturbed, f"interrupted after {messages} messages"
        messages += 1
    assert messages >= 2 * small["training"]["rounds"] - 1  # each merge and each training was interrupted
    assert_nothing_left_over(runner.layout)


def assert_resumed(runner, interrupted):
    """Interrupted in one of its rounds, the only run of the study ends as if undisturbed."""
    runner.pretrain(only_start(runner))
    run = only_run(runner)
    runner.train(run)
    path = runner.layout.run(run.id)
    undisturbed = path.read_bytes()
    for messages in (1, 3, 5):  # in the first round, the second, the third
        path.unlink()
        assert interrupted(lambda: runner.train(run), messages)
        runner.train(run)
        assert path.read_bytes() == undisturbed, f"interrupted after {messages} messages"


@pytest.mark.parametrize(
    "method",
    [
        {"name": "dpsgd", "momentum": 0.9, "nesterov": True, "warmup": 2, "milestones": [3]},
        "gradient_tracking",
        {"name": "gradient_tracking", "form": "dsgt"},
        {"name": "quasi_global", "nesterov": True, "weight_decay": 0.001},
        {"name": "swarm_sgd", "normalization": "frozen", "decay": 0.7, "momentum": 0.9},
        {"name": "teleportation", "normalization": "frozen", "decay": 0.7, "momentum": 0.9},
        {"name": "sgp", "momentum": 0.9},
        {"name": "coded_admm", "growth": "sqrt", "code": {"name": "repetition", "nodes": 4, "stragglers": 1}},
        {"name": "cga", "compressed": True},
        {
            **{"name": "cga", "compressed": True, "scales": "layer", "own_compressed": True},
            **{"margin": 0.5, "weighted": True, "per_layer": True, "nesterov": True},
        },
        "matcha",
        {"name": "dot_admm", "local_steps": 4, "normalization": "frozen", "decay": 0.7},
        {"name": "ist", "local_steps": 4},
        {"name": "coda", "stage_steps": 3, "local_steps": 2},
        {"name": "choco", "momentum": 0.9},
        {"name": "choco", "compression": {"name": "quantized", "bits": 2}, "gamma": 0.1},
        {"name": "choco", "compression": "random_k"},
        {"name": "epidemic", "momentum": 0.9},
        {"name": "epidemic", "local_steps": 3},
        "diloco",
        "noloco",
        {"name": "sparta", "momentum": 0.9},
        {"name": "wash", "probability": 0.02},
        {"name": "papa", "every": 2, "momentum": 0.9, "decay": 0.7},
        {"name": "k_gt", "local_steps": 3},
    ],
)
def test_what_a_method_remembers_is_resumed(tmp_path, small, interrupted, method):
    graph = {"name": "ring", "link_failures": 0.3}  # the clock of communications goes on, too
    runner = open_runner(small | {"method": method, "graph": graph}, tmp_path)
    assert_resumed(runner, interrupted)


@pytest.mark.parametrize("method", ["dimat", {"name": "dpsgd", "momentum": 0.9}])
@pytest.mark.parametrize("attack", [{"name": "noise", "agent": 1}, "permuted"])
def test_who_sleeps_and_who_attacks_is_resumed(tmp_path, small, interrupted, method, attack):
    bursts = {"share": 0.3, "length": 3}
    graph = {"name": "ring", "churn": {"name": "markov", "sleep": 0.3, "wake": 0.5}, "bursts": bursts}
    runner = open_runner(small | {"method": method, "graph": graph, "attack": attack}, tmp_path)
    assert_resumed(runner, interrupted)
    run = only_run(runner)
    attacker = run.attack.agent
    made = read_json(runner.layout.run_provenance(run.id))
    assert made["not_measured"] == [attacker]
    scored = {
        line.split(",")[3]
        for line in runner.layout.run(run.id).read_text().splitlines()
        if "test_accuracy" in line
    }
    assert scored == {str(agent) for agent in range(run.agents)} - {str(attacker)}


@pytest.mark.parametrize(
    "method",
    [
        "dimat",
        "wm",
        "variance_corrected",
        {"name": "dpsgd", "momentum": 0.9},
        "cdsgd",
        "cdmsgd",
        "quasi_global",
    ],
    ids=str,
)
def test_messages_under_way_are_resumed(tmp_path, small, interrupted, method):
    graph = {"name": "ring", "delays": {"most": 3, "late": 0.7}, "link_failures": 0.2}
    assert_resumed(open_runner(small | {"method": method, "graph": graph}, tmp_path), interrupted)


def test_frames_that_are_held_are_resumed(tmp_path, small, interrupted):
    matching = {"alignment": "consistent", "rematch": "lowers_disagreement"}
    small["training"] |= {"optimizer_state": "kept"}
    assert_resumed(open_runner(small | {"matching": matching}, tmp_path), interrupted)


@pytest.mark.parametrize("method", ["dimat", "cdsgd"])
def test_what_a_study_asks_for_is_resumed(tmp_path, small, interrupted, method):
    small |= {"measures": ["training_loss", "parts", "mean_model"], "calibration": {"limit": 40}}
    runner = open_runner(small | {"method": method}, tmp_path)
    assert_resumed(runner, interrupted)


def test_a_run_interrupted_in_every_round(tmp_path, small, interrupted):
    small["training"] |= {"optimizer_state": "kept"}
    runner = open_runner(small, tmp_path)
    runner.pretrain(only_start(runner))
    run = only_run(runner)
    runner.train(run)
    undisturbed = runner.layout.run(run.id).read_bytes()
    runner.layout.run(run.id).unlink()
    interruptions = 0
    while interrupted(lambda: runner.train(run), 3):
        interruptions += 1
    assert interruptions >= 2
    assert runner.layout.run(run.id).read_bytes() == undisturbed


# Killed at random moments, in processes of their own.


def kill_at_random(arguments, folder, checkpoint, generator):
    """Start a job and kill it (as by kill -9) soon after it wrote a checkpoint; whether it was killed."""
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
    process = subprocess.Popen(command(*arguments), cwd=folder, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
                time.sleep(generator.uniform(0, 0.3))
                break
            time.sleep(0.005)
    except FileNotFoundError:  # the job ended between two looks at its checkpoint
        pass
    finally:
        process.kill()
        process.wait()
    return process.returncode != 0


@pytest.mark.parametrize(
    ("step", "state"),
    [("pretrain", "reset"), ("train", "reset"), ("train", "kept")],
    ids=["pretrain", "train", "train with optimizers kept"],
)
def test_a_killed_job_ends_as_if_undisturbed(tmp_path, small, write_config, dimat_process, step, state):
    small["training"] |= {"pretrain_epochs": 2, "optimizer_state": state}
    small["training"]["pretrain_epochs" if step == "pretrain" else "rounds"] = 25
    config = write_config(small)
    runner = open_runner(small, tmp_path)
    start, run = only_start(runner), only_run(runner)
    runner.pretrain(start)
    runner.train(run)
    output = runner.layout.pretrained(start.id) if step == "pretrain" else runner.layout.run(run.id)
    undisturbed = output.read_bytes()
    output.unlink()

    checkpoint = runner.layout.checkpoint(start.id if step == "pretrain" else run.id)
    again = [step, config, "--results", "."]
    generator = random.Random()  # another moment every time
    kills = sum(kill_at_random(again, tmp_path, checkpoint, generator) for _ in range(2))
    assert kills >= 1
    done = dimat_process(*again)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == undisturbed
    assert_nothing_left_over(runner.layout)


# The same seed, without any interruption.


def test_same_seed_same_records_and_another_seed_others(tmp_path, small):
    records = []
    for folder, seed in (("first", 0), ("second", 0), ("third", 1)):
        runner = open_runner(small | {"seeds": [seed]}, tmp_path / folder)
        runner.pretrain(only_start(runner))
        runner.train(only_run(runner))
        records.append(runner.layout.run(only_run(runner).id).read_text())
    values = [[row.rsplit(",", 1)[1] for row in text.splitlines()] for text in records]
    assert records[0] == records[1]
    assert values[0] != values[2]


def test_records_do_not_depend_on_when_checkpoints_are_written(tmp_path, small):
    records = []
    for seconds in (0, 1000):
        runner = open_runner(small | {"checkpoint_seconds": seconds}, tmp_path / str(seconds))
        runner.pretrain(only_start(runner))
        runner.train(only_run(runner))
        records.append(runner.layout.run(only_run(runner).id).read_bytes())
    assert records[0] == records[1]


def test_a_run_resumed_with_other_threads_names_both(tmp_path, small, interrupted):
    runner = open_runner(small, tmp_path)
    start, run = only_start(runner), only_run(runner)
    runner.pretrain(start)
    assert interrupted(lambda: runner.train(run), 4)
    other = open_runner(small | {"threads": 2}, tmp_path)
    try:
        other.train(run)
    finally:
        torch.set_num_threads(1)
    provenance = read_json(runner.layout.run_provenance(run.id))
    made = provenance["made_on"]
    assert [machine["threads"] for machine in made] == [1, 2]
    assert made[0]["first"] == 1 < made[1]["first"]
    assert made[0]["after_seconds"] == 0 < made[1]["after_seconds"] < provenance["seconds"]


@pytest.mark.parametrize("method", ["wa", "dimat"])
def test_the_start_that_task_vectors_count_from_is_resumed(tmp_path, small, interrupted, method):
    small["training"] |= {"start": "pretrained"}
    coefficients = {"name": "adamerging", "steps": 2, "learning_rate": 0.1}
    small |= {"method": {"name": method, "coefficients": coefficients}}
    assert_resumed(open_runner(small | {"matching": {"alignment": "consistent"}}, tmp_path), interrupted)
