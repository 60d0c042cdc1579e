"""`dimat verify`: the chain from images to tables, and the last round of a run, carried out again."""

import csv
import hashlib
import io
import json
import shutil

import pytest
from support.faults import write_audit
from support.jobs import only_run, only_start, open_runner

from dimat.experiment.collect import collect
from dimat.io.files import (
    links_of,
    read_checked,
    read_json,
    read_tensors,
    write_checked,
    write_json,
    write_tensors,
)


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
        {"method": "dimat", "calibration": {"limit": 40}, "measures": ["parts", "mean_model"]},
    ],
    ids=["dimat", "dpsgd", "swarm_sgd with failures", "a single round", "with measures"],
)
def test_a_finished_run_gives_its_numbers_again(finished, dimat, write_config, changes):
    _, run, content = finished(**changes)
    done = dimat("verify", write_config(content), "--only", run.id)
    assert done.returncode == 0, done.stdout + done.stderr
    described, repeated, *rest = done.stdout.splitlines()
    assert described.startswith("right") and "run.json: made from what is there" in described
    assert repeated.startswith("right") and run.id in repeated
    assert repeated.endswith(f"round {run.training.rounds} gives the recorded numbers again")
    assert rest and all(line.startswith("not proved: ") for line in rest)


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
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    assert run.id in line and changed[-2] in line and f"round {changed[-6]}" in line
    assert f"{changed[-1]} is recorded, {recorded} comes out" in line


def test_records_from_before_drift_was_recorded_are_still_verified(finished, dimat, write_config):
    runner, run, content = finished()
    path = runner.layout.run(run.id)
    lines = read_checked(path).decode().splitlines(keepends=True)
    older = [line for line in lines if ",drift," not in line]
    assert len(older) == len(lines) - run.training.rounds
    write_checked(path, "".join(older).encode())
    assert dimat("verify", write_config(content), "--only", run.id).returncode == 0
    write_checked(path, "".join(older[:-1]).encode())
    assert dimat("verify", write_config(content), "--only", run.id).returncode == 1
    without_one = lines.copy()
    without_one.remove(next(line for line in lines if ",drift," in line))
    write_checked(path, "".join(without_one).encode())
    assert dimat("verify", write_config(content), "--only", run.id).returncode == 1


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
    assert done.returncode == 0
    (line,) = [line for line in done.stdout.splitlines() if run.id in line and "checkpoint" in line]
    assert line.startswith("not proved") and "keep_checkpoints: true" in line


def test_a_checkpoint_is_kept_although_its_run_was_killed_at_its_very_end(finished, dimat, write_config):
    runner, run, content = finished()
    kept = runner.layout.last_round(run.id)
    kept.rename(runner.layout.checkpoint(run.id))  # the records are written, and nothing else is done
    config = write_config(content)
    assert dimat("train", config).returncode == 0
    assert kept.exists() and not runner.layout.checkpoint(run.id).exists()
    assert dimat("verify", config).returncode == 0


def test_of_a_run_that_is_replaced_no_checkpoint_is_left(finished, dimat, write_config):
    """It may have been made on another machine."""
    runner, run, content = finished()
    assert runner.layout.last_round(run.id).exists()
    config = write_config(content | {"keep_checkpoints": False})
    assert dimat("train", config, "--only", run.id).returncode == 0
    assert not runner.layout.last_round(run.id).exists()


def test_a_run_is_trained_again_from_its_images(chain, dimat, write_config, tmp_path):
    """As one does who has an archive: the images and the networks are not there."""
    runner, run, content = chain
    for folder in ("data", "starts"):
        shutil.rmtree(runner.layout.shared.root / folder)
    before = sorted(tmp_path.rglob("*"))
    done = dimat("verify", config := write_config(content), "--rerun", run.id)
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = len(read_checked(runner.layout.run(run.id)).splitlines()) - 1
    assert done.stdout.splitlines()[-1].endswith(
        f"trained again from its images, all {numbers} numbers come out"
    )
    assert sorted(path for path in tmp_path.rglob("*") if path != config) == before
    path = runner.layout.run(run.id)
    first, *rest = read_checked(path).decode().splitlines()
    value = float(rest[5].rpartition(",")[2])
    write_checked(path, "\n".join([first, *rest]).replace(rest[5], f"{rest[5]}1").encode() + b"\n")
    done = dimat("verify", config, "--rerun", run.id)
    assert done.returncode == 1 and f"{value} comes out (recorded with torch " in done.stdout
    done = dimat("verify", config, "--rerun", "other")
    assert done.returncode == 2 and done.stderr.startswith("dimat: error: --rerun: 'other' is not in this")


@pytest.fixture
def chain(tmp_path, small):
    """A small tuned study from its images to its collected files: runner, run and configuration."""
    content = small | {"method": {"name": "dpsgd"}, "tuning": {"factors": [0.5, 1.0]}}
    runner = open_runner(content, tmp_path / "results")
    for start in runner.study.pretrained.values():
        runner.pretrain(start)
    for tuned in runner.study.tuned.values():
        runner.tune(tuned)
    run = only_run(runner)
    runner.train(run)
    collect(runner.study, runner.layout)
    return runner, run, content


FORGERIES = {}


def forgery(change):
    """A change by somebody who also makes the checksums right."""
    FORGERIES[change.__name__.replace("_", " ")] = change
    return change


@forgery
def an_image(layout, run):
    path = layout.prepared(run.partitioned.prepared.id)
    tensors, about = read_tensors(path)
    tensors["train_images"][0] ^= 255
    write_tensors(path, tensors, about)
    return path


@forgery
def two_images_dealt_otherwise(layout, run):
    path = layout.partitioned(run.partitioned.id)
    content = read_json(path)
    first, second = content["train"][0]["images"], content["train"][1]["images"]
    first[0], second[0] = second[0], first[0]
    write_json(path, content)
    return path


@forgery
def a_weight_of_a_start(layout, run):
    path = layout.pretrained(run.pretrained.id)
    tensors, about = read_tensors(path)
    next(iter(tensors.values())).flatten()[0] += 1
    write_tensors(path, tensors, about)
    return path


@forgery
def a_choice(layout, run):
    path = layout.tuned(run.tuned.id)
    content = read_json(path)
    (other,) = {each["factor"] for each in content["trials"]} - {content["factor"]}
    write_json(path, content | {"factor": other})
    return path


@forgery
def a_learning_rate_in_run_json(layout, run):
    path = layout.run_provenance(run.id)
    content = read_json(path)
    content["method"]["optimizer"] = {"name": "sgd", "learning_rate": 0.5}
    write_json(path, content | {"learning_rate": 0.5})
    return path


@forgery
def the_gap_of_the_graph_in_run_json(layout, run):
    path = layout.run_provenance(run.id)
    content = read_json(path)
    content["graph"]["spectral_gap"] += 0.1
    write_json(path, content)
    return path


@forgery
def a_collected_number(layout, run):
    lines = read_checked(layout.records).decode().splitlines()
    lines[5] = lines[5].rpartition(",")[0] + ",0.75"
    sources = [source for _, source in links_of(layout.records)[1:]]
    write_checked(layout.records, ("\n".join(lines) + "\n").encode(), sources)
    return layout.records


@forgery
def a_collected_parameter(layout, run):
    content = read_checked(layout.runs).replace(b"iid", b"dirichlet")
    write_checked(layout.runs, content, [source for _, source in links_of(layout.runs)[1:]])
    return layout.runs


@forgery
def collected_totals(layout, run):
    write_json(layout.provenance, read_json(layout.provenance) | {"runs": 7})
    return layout.provenance


@pytest.mark.parametrize("change", FORGERIES.values(), ids=FORGERIES)
def test_what_was_forged_with_its_checksums_is_found(chain, dimat, write_config, change):
    runner, run, content = chain
    config = write_config(content)
    path = change(runner.layout, run)
    done = dimat("verify", config)
    assert done.returncode == 1
    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    assert any(path.name in line for line in wrong), done.stdout


def test_an_honest_study_is_right(chain, dimat, write_config):
    _, _, content = chain
    done = dimat("verify", write_config(content))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    right = [line for line in lines if line.startswith("right")]
    kinds = {"data": 2, "partitions": 2, "starts": 2, "choice": 1, "run": 1, "collected": 3, "trials": 2}
    assert len(right) == sum(kinds.values()), done.stdout
    assert any("comes out again" in line for line in right)


def test_the_audit_that_all_studies_share_is_looked_at(chain, dimat, write_config):
    runner, _, content = chain
    write_audit(runner.layout)
    config = write_config(content)
    assert dimat("verify", config).returncode == 0
    runner.layout.audit.write_text("damaged")
    done = dimat("verify", config)
    assert done.returncode == 1 and "shared/audit.csv: damaged" in done.stdout


def test_a_sidecar_is_a_file_that_sha256sum_reads(chain):
    runner, _, _ = chain
    lines = runner.layout.records.with_name("records.csv.sha256").read_text().splitlines()
    for line in lines:
        sha256, name = line.split("  ", 1)
        path = runner.layout.root / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    assert len(lines) == 1 + len(runner.study.runs)
    assert json.loads(runner.layout.provenance.read_text())["runs"] == len(runner.study.runs)
