"""Which code made something: the commit of the project itself, and the hash of its files."""

import os
import shutil
import subprocess
import sys

import pytest
from support.pipeline import PROJECT

COMMIT = "from dimat.experiment.provenance import commit; print(commit())"
CODE = "from dimat.experiment.provenance import code; print(code('dimat'))"


def git(folder, *arguments):
    names = {f"GIT_{role}_{what}": "x@y.z" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", "-C", folder, *arguments]
    return subprocess.run(command, env=os.environ | names, check=True, capture_output=True, text=True).stdout


def said(project, program, **environment):
    environment = os.environ | {"PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path):
    """A repository of its own with the project's code."""
    folder = tmp_path / "outer" / "project"
    for name in ("dimat", "theory", "paper"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, folder / name, symlinks=True, ignore=ignore)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "all")
    return folder


def test_a_checkout_says_its_commit_and_whether_code_differs(project):
    head = git(project, "rev-parse", "--short=12", "HEAD").strip()
    assert said(project, COMMIT) == head
    (project / "notes.txt").write_text("no code")
    assert said(project, COMMIT) == head
    (project / "dimat" / "methods" / "mine.py").write_text("RATE = 1\n")  # git does not know it
    assert said(project, COMMIT) == f"{head}-dirty"
    (project / "dimat" / "methods" / "mine.py").unlink()
    (project / "dimat" / "errors.py").write_text(
        "changed = True\n" + (project / "dimat/errors.py").read_text()
    )
    assert said(project, COMMIT) == f"{head}-dirty"


def test_another_repository_is_not_the_projects(project, tmp_path):
    head = git(project, "rev-parse", "--short=12", "HEAD").strip()
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    git(other, "commit", "--quiet", "--allow-empty", "-m", "another")
    assert said(project, COMMIT, GIT_DIR=str(other / ".git"), GIT_WORK_TREE=str(other)) == head
    shutil.rmtree(project / ".git")
    git(project.parent, "init", "--quiet")
    git(project.parent, "add", ".")
    git(project.parent, "commit", "--quiet", "-m", "around it")
    assert said(project, COMMIT) == "None"


def test_the_hash_of_code_sees_changes_and_no_remarks(project):
    before = said(project, CODE)
    errors = project / "dimat" / "errors.py"
    errors.write_text("# a remark\n\n" + errors.read_text())
    assert said(project, CODE) == before
    errors.write_text(errors.read_text() + "RATE = 1\n")
    assert said(project, CODE) != before
