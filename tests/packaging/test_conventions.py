"""What other places and programs expect of a repository: the catalogue of workflows, citations, releases."""

import re
import stat
import subprocess
import tomllib
import venv
from datetime import date
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

import dimat

ROOT = Path(__file__).parents[2]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
RELEASE = r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$"


def read(name):
    return yaml.safe_load((ROOT / name).read_text())


def releases():
    return re.findall(RELEASE, (ROOT / "CHANGELOG.md").read_text(), re.M)


def test_the_workflow_is_as_the_catalogue_of_workflows_expects():
    """Its "standardized usage": the main file, documentation of the configuration, and how it is used."""
    assert (ROOT / "workflow" / "Snakefile").is_file()
    assert len((ROOT / "config" / "README.md").read_text()) > 1000
    assert (ROOT / "LICENSE").is_file()
    usage = read(".snakemake-workflow-catalog.yml")["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    assert set(usage["software-stack-deployment"]) == {"conda", "apptainer", "apptainer+conda"}
    rules = "".join(path.read_text() for path in (ROOT / "workflow").rglob("*.smk"))
    has_environments = bool(re.search(r"^ +(conda|container):", rules, re.M))
    assert any(usage["software-stack-deployment"].values()) == has_environments
    snakefile = (ROOT / "workflow" / "Snakefile").read_text()
    assert usage["report"] is bool(re.search(r"^report: ", snakefile, re.M))
    included = set(re.findall(r'^include: "rules/(.*)"', snakefile, re.M))
    assert included == {path.name for path in (ROOT / "workflow" / "rules").glob("*.smk")}


def test_the_readme_says_how_the_workflow_is_used():
    text = (ROOT / "README.md").read_text()
    assert text.startswith("# dimat\n")
    assert "snakemake --cores all" in text and "config/README.md" in text


def test_all_places_name_one_version_and_its_date():
    version, released = releases()[0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = read("CITATION.cff")
    assert version == project["version"] == dimat.__version__ == citation["version"]
    assert released == str(citation["date-released"])


def test_the_changelog_lists_releases_from_new_to_old_below_what_is_not_released():
    text = (ROOT / "CHANGELOG.md").read_text()
    heads = re.findall(r"^## .*$", text, re.M)
    assert heads[0] == "## [Unreleased]" and len(heads) == 1 + len(releases())
    found = [(Version(version), date.fromisoformat(day)) for version, day in releases()]
    assert found == sorted(found, reverse=True)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.M)) <= kinds


def test_the_citation_has_what_its_format_requires():
    found = read("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(found)
    for reference in found["references"]:
        assert {"type", "title", "authors"} <= set(reference)


def test_the_citation_is_valid(long, tmp_path):
    """By the program of the format's authors, which needs an environment of its own: an older jsonschema."""
    if not long:
        pytest.skip("make test-install has it")
    venv.create(tmp_path, with_pip=True)
    subprocess.run([tmp_path / "bin" / "pip", "install", "--quiet", "cffconvert==2.0.0"], check=True)
    command = [tmp_path / "bin" / "cffconvert", "--validate"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda p: p.stem
)
def test_forms_of_issues_are_as_their_place_reads_them(form):
    found = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= set(found)
    ids = [part["id"] for part in found["body"]]
    assert len(ids) == len(set(ids)) > 0
    for part in found["body"]:
        assert part["type"] in ("textarea", "input", "dropdown")
        assert part["attributes"]["label"]
        assert (part["type"] == "dropdown") == ("options" in part["attributes"])
    for path in re.findall(r"\b(?:docs|config)/[\w/-]+\.md", form.read_text()):
        assert (ROOT / path).exists(), path


def test_the_service_runs_what_contributors_run():
    """One script, with the Python of the locks."""
    (job,) = read(".github/workflows/ci.yml")["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert (ROOT / ".ci" / "run").stat().st_mode & stat.S_IXUSR
    (python,) = [step["with"]["python-version"] for step in job["steps"] if "python" in step.get("uses", "")]
    assert f"python:{python}-" in (ROOT / "Containerfile").read_text()
    assert f"Python {python}" in (ROOT / "requirements" / "cpu.txt").read_text().splitlines()[0]


def test_targets_of_make_are_explained_where_they_are_and_for_contributors():
    text = (ROOT / "Makefile").read_text()
    targets = {name for line in re.findall(r"^\.PHONY: (.*)$", text, re.M) for name in line.split()}
    assert targets == set(re.findall(r"^([a-z][a-z-]+):", text, re.M))
    assert targets - {"install"} == set(re.findall(r"^# make ([a-z-]+)", text, re.M))
