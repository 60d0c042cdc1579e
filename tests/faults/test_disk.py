"""A disk that is full or cannot be written: one line, nothing half done, and afterwards all goes on."""

import os
import shutil
import subprocess

import pytest
from support.faults import STEPS, STUDY, TRAINING, Study
from support.mounting import mount
from support.refusals import refused, run

SMALLEST, LARGEST = 8, 4096
"""KiB of the disk at first, and at most."""


@pytest.fixture
def disk(tmp_path):
    """A study whose results lie on a small disk of their own, and what changes the disk."""
    study = Study(tmp_path, method="dimat", tuning=None)
    results = tmp_path / "results"
    results.mkdir()
    if why := mount(results, f"size={SMALLEST}k"):
        pytest.skip(f"no file system can be mounted here: {why.strip()}")
    yield study, lambda options: mount(results, f"remount,{options}")
    subprocess.run(["umount", "--lazy", results], check=True)  # tensors may still be mapped from it


def nothing_half_done(study):
    return not [path for path in study.layout.results.rglob("*") if path.suffix == ".tmp"]


def test_a_full_disk(tmp_path_factory, disk, monkeypatch, long):
    study, change = disk
    model = Study(tmp_path_factory.mktemp("undisturbed"), method="dimat", tuning=None)
    model.clear()
    monkeypatch.chdir(model.folder)
    for step in STEPS if long else TRAINING:
        assert run(monkeypatch, step, "study.json")[0] == 0
    monkeypatch.chdir(study.folder)
    size, failures = SMALLEST, []
    for step in STEPS if long else TRAINING:
        if step == "judge":  # which reads the audit
            size += 32
            assert not change(f"size={size}k")
            for path in model.layout.shared.root.glob("audit.csv*"):
                shutil.copy(path, study.layout.shared.root)
        while True:
            code, _, err = run(monkeypatch, step, "study.json")
            assert nothing_half_done(study)
            if not refused(code, err):
                break
            assert "No space left" in err and ": results/" in err, err
            failures.append(step)
            size = size * 5 // 4
            assert size < LARGEST
            assert not change(f"size={size}k")
    print(failures)
    assert len(set(failures)) >= 3
    whole = {name: content for name, content in model.contents().items() if long or "audit" not in name}
    assert study.contents() == whole


def test_a_disk_that_cannot_be_written(disk, monkeypatch, long):
    study, change = disk
    monkeypatch.chdir(study.folder)
    assert not change(f"size={LARGEST}k")
    study.clear()
    before = {}
    for step in STEPS if long else TRAINING:
        assert not change("ro")
        code, _, err = run(monkeypatch, step, "study.json")
        assert study.contents() == before or step == "prepare"
        if step != "tune":  # there is nothing to tune
            assert refused(code, err) and "Read-only file system" in err, err
        assert not change("rw")
        assert run(monkeypatch, step, "study.json")[0] == 0
        before = study.contents()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path, monkeypatch, write_config):
    config = write_config(STUDY)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir(mode=0o555)
    code, _, err = run(monkeypatch, "prepare", config)
    assert refused(code, err) and "Permission denied" in err


def test_a_finished_study_on_a_disk_that_cannot_be_written(disk, monkeypatch):
    study, change = disk
    assert not change("size=4m")
    monkeypatch.chdir(study.folder)
    for step in TRAINING:
        code, _, err = run(monkeypatch, step, "study.json")
        assert code == 0, err
    assert not change("ro")
    for step in ("prepare", "partition", "pretrain", "tune", "train", "verify"):
        code, out, err = run(monkeypatch, step, "study.json")
        assert code == 0, (step, out, err)
    code, _, err = run(monkeypatch, "collect", "study.json")  # which joins anew
    assert refused(code, err) and "Read-only file system" in err
