"""Locks have what pyproject.toml requires, and can be had anywhere: no line names a machine."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = ("cpu", "cuda")
LINUX = {"sys_platform": "linux", "platform_machine": "x86_64", "python_full_version": "3.11.9"}


def pins(path):
    """What a file of requirements pins: the version and hashes of each package on Linux with Python 3.11."""
    text = re.sub(r"#.*", "", path.read_text()).replace("\\\n", " ")
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        words, *hashes = re.split(r"\s+--hash=", line)
        requirement = Requirement(words)
        (part,) = requirement.specifier
        assert part.operator == "==", line
        if requirement.marker is None or requirement.marker.evaluate(LINUX):
            assert requirement.name not in found, line
            found[canonicalize_name(requirement.name)] = (Version(part.version), hashes)
    return found


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_what_the_pipeline_requires_in_the_versions_of_the_constraints(lock, project):
    more = project["optional-dependencies"]
    locked, constrained = pins(ROOT / "requirements" / f"{lock}.txt"), pins(ROOT / "constraints.txt")
    for requirement in map(Requirement, chain(project["dependencies"], more["pipeline"], more["audit"])):
        version, _ = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement
    for name, (version, _) in locked.items():
        if not name.startswith(("nvidia-", "cuda-", "triton")):
            assert version.public == str(constrained[name][0]), name


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_has_hashes(lock):
    for name, (_, hashes) in pins(ROOT / "requirements" / f"{lock}.txt").items():
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), name


def test_the_lock_for_cpus_has_the_wheel_for_cpus_and_none_of_cuda():
    found = pins(ROOT / "requirements" / "cpu.txt")
    assert found["torch"][0].local == "cpu" and len(found["torch"][1]) == 1
    assert not [name for name in found if name.startswith("nvidia-")]
    assert [name for name in pins(ROOT / "requirements" / "cuda.txt") if name.startswith("nvidia-")]


@pytest.mark.parametrize("name", ["constraints.txt", "requirements/cpu.txt", "requirements/cuda.txt"])
def test_no_lock_names_a_machine(name):
    lines = (ROOT / name).read_text().splitlines()
    for line in lines:
        if not line.startswith("#"):
            assert "/" not in line and not re.match(r"-", line), line
    assert "://" not in "\n".join(lines)


def test_the_page_on_installing_names_the_layers_and_versions_that_there_are(project):
    text = (ROOT / "docs" / "installing.md").read_text()
    table = [row.split("|")[1].strip() for row in text.splitlines() if re.match(r"\| .*\d", row)]
    torch = pins(ROOT / "constraints.txt")["torch"][0]
    assert table[0] == f"torch {torch} for CPUs"
    assert {*table[1:]} == {"`dimat`", *(f"`dimat[{extra}]`" for extra in project["optional-dependencies"])}
    assert f"pip install torch=={torch} " in text
    assert f"dimat-{project['version']}-py3-none-any.whl" in text
