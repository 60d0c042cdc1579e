"""What a wheel holds, and that it works where nothing but the wheel is installed."""

import csv
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from dimat.experiment.provenance import code

ROOT = Path(__file__).parents[2]
QUICK = ROOT / "config" / "quick.yaml"
CODE = """
from dimat.cli.extras import find_extras
find_extras()
import paper, theory
from dimat.experiment.provenance import code
print(paper.__file__, code("dimat", "theory", "paper"), sep="\\n")
"""
INPUTS = """
from pathlib import Path
import numpy
from PIL import Image
from safetensors.torch import save_file
from dimat.models import Plain
draws = numpy.random.default_rng(0)
for part in ("train", "test"):
    for kind in ("cats", "dogs"):
        folder = Path("images", part, kind)
        folder.mkdir(parents=True)
        for number in range(6):
            pixels = draws.integers(0, 256, (16, 16, 3), dtype="uint8")
            Image.fromarray(pixels).save(folder / f"{number}.png")
for name in "ab":
    save_file(Plain(widths=(3, 4)).build(3, 2).state_dict(), name + ".safetensors")
"""
MODEL = ("--model", "{name: plain, widths: [3, 4]}")
DATA = ("--data", "{name: folder, path: images, size: 16}")


def run(*command, cwd, **environment):
    environment = {**os.environ, "PYTHONPATH": "", **environment}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the sources, in which an earlier build has left something."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("dimat", "theory", "paper", "benchmarks"):
        ignore = shutil.ignore_patterns("__pycache__", "archive")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "build" / "lib" / "theory").mkdir(parents=True)
    (folder / "build" / "lib" / "theory" / "stale.py").touch()
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        "dist",
        ".",
    ]
    done = run(*command, cwd=folder)
    assert done.returncode == 0, done.stderr
    (found,) = (folder / "dist").iterdir()
    return found


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory):
    """A folder of packages with nothing but dimat's."""
    folder = tmp_path_factory.mktemp("unpacked")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_a_wheel_takes_no_name_but_those_of_dimat(unpacked):
    assert {path.name for path in unpacked.iterdir()} == {"dimat", "dimat_extras", "dimat-0.1.0.dist-info"}
    extras = {path.name for path in (unpacked / "dimat_extras").iterdir()}
    assert extras == {"theory", "paper", "benchmarks"}
    (about,) = unpacked.glob("*.dist-info")
    assert set((about / "top_level.txt").read_text().split()) == {"dimat", "dimat_extras"}
    listed = {row[0] for row in csv.reader((about / "RECORD").read_text().splitlines())}
    assert listed == {str(p.relative_to(unpacked)) for p in unpacked.rglob("*") if p.is_file()}


def test_commands_of_a_wheel_run_its_own_code_which_is_that_of_the_checkout(unpacked, tmp_path):
    """With the hash that records hold, so that what one made is no stranger to the other."""
    done = run(sys.executable, "-c", CODE, cwd=tmp_path, PYTHONPATH=str(unpacked))
    assert done.returncode == 0, done.stderr
    file, hashed = done.stdout.split()
    assert Path(file) == unpacked / "dimat_extras" / "paper" / "__init__.py"
    assert hashed == code("dimat", "theory", "paper")
    # A user's own module of the name of one of ours.
    (tmp_path / "theory.py").write_text("raise SystemExit('not this one')")
    done = run(sys.executable, "-m", "dimat", "claim", cwd=tmp_path, PYTHONPATH=str(unpacked))
    assert done.returncode == 0, done.stderr
    assert "mean-kept" in done.stdout


def test_programs_that_use_dimat_do_not_see_what_is_above_it(unpacked, tmp_path):
    program = "import sys, dimat; print(dimat.__file__, *sys.path)"
    done = run(sys.executable, "-c", program, cwd=tmp_path, PYTHONPATH=str(unpacked))
    assert done.stdout.startswith(str(unpacked / "dimat")), done.stderr
    assert "dimat_extras" not in done.stdout


def test_a_crate_needs_a_checkout(unpacked, tmp_path):
    command = [sys.executable, "-m", "dimat", "crate", QUICK]
    done = run(*command, cwd=tmp_path, PYTHONPATH=str(unpacked))
    assert done.returncode == 2
    assert re.fullmatch(r"dimat: error: \S+workflow: no workflow; expected .* of a checkout.*\n", done.stderr)


@pytest.fixture(scope="module")
def installed(wheel, long, tmp_path_factory):
    """An environment of its own with the wheel and what it requires, and no more."""
    if not long:
        pytest.skip("make test-install has it: it installs torch")
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    done = run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    return python


def test_the_wheel_alone_merges_networks(installed, tmp_path):
    assert run(installed, "-m", "pip", "check", cwd=tmp_path).returncode == 0
    done = run(installed, "-c", "import site; print(site.getsitepackages()[0])", cwd=tmp_path)
    names = {path.name for path in Path(done.stdout.strip()).iterdir()}
    assert {"dimat", "dimat_extras"} <= names
    assert not names & {
        "theory",
        "paper",
        "benchmarks",
        "tests",
        "workflow",
        "config",
        "torchvision",
        "snakemake",
    }
    assert run(installed, "-c", INPUTS, cwd=tmp_path).returncode == 0
    dimat = installed.with_name("dimat")
    merge = [dimat, "merge", *MODEL, *DATA, "a.safetensors", "b.safetensors", "-o", "merged.safetensors"]
    done = run(*merge, cwd=tmp_path, DIMAT_DATA=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "objective as merged" in done.stdout
    assert (tmp_path / "merged.safetensors").exists()


@pytest.mark.parametrize(
    "words", [("prepare", QUICK), ("figure", QUICK), ("audit",)], ids=lambda each: each[0]
)
def test_what_an_extra_is_needed_for_says_so(words, installed, tmp_path):
    done = run(installed.with_name("dimat"), *words, cwd=tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(r"dimat: error: \w+ is not installed.*'dimat\[pipeline,audit\]'\n", done.stderr)
