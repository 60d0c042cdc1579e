"""Archived runs are those of today's configurations, whole, and can be shown."""

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import typst
import yaml
from support.archives import unpack_all

from dimat.experiment.archive import unpack
from dimat.experiment.collect import collect
from dimat.experiment.layout import Layout
from dimat.experiment.reading import parse_study, read_study
from paper.page import markdown
from paper.report.gathering import Gathered
from paper.report.typesetting import sources
from paper.systems_page import systems_page
from paper.tables import tables_of

ROOT = Path(__file__).parents[2]
PACKED = ("paper-small", "paper-digits", "systems")
"""Folders of configurations whose runs are archived, in the order in which the paper takes them."""
WHOLE = [ROOT / "paper" / "archive" / f"{name}.tar.xz" for name in PACKED]
SYSTEMS = WHOLE[-1]
NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
COMPARED = {
    "compare-cifar10": "comparison-cifar10.md",
    "compare-bytes": "bytes.md",
    "vit-digits": "transformers.md",
    "vit-cifar10": "transformers.md",
    "churn-digits": "churn.md",
    "robust-digits": "churn.md",
    "pairs-digits": "pairs.md",
    "pairs": "pairs.md",
}
"""Studies in comparisons.tar.xz, and the page of each."""
HELD = {"gpu-10": {"partition": "iid"}}
"""What of its configuration an archive holds."""


@pytest.fixture(params=HELD)
def archived(request, tmp_path):
    """The study of an archive, and where it was unpacked."""
    unpack_all(ROOT / "paper" / "archive" / f"{request.param}.tar.xz", tmp_path)
    content = yaml.safe_load((ROOT / "config" / f"{request.param}.yaml").read_text())
    study = parse_study(content | HELD[request.param], request.param)
    return study, Layout(tmp_path / request.param)


def test_runs_are_found_by_their_ids_and_collected(archived):
    study, layout = archived
    collect(study, layout)
    assert {path.parent.name for path in layout.shared.root.glob("runs/*/run.json")} == set(study.runs)
    (device,) = json.loads(layout.provenance.read_text())["devices"]
    assert device == "NVIDIA H200"
    rows = tables_of(study)["progress"].rows(layout)
    assert list(rows["method"]) == ["DIMAT", "WA"] and set(rows["seeds"]) == {3}


def test_archives_are_small_and_named():
    archives = list((ROOT / "paper" / "archive").glob("*.tar.xz"))
    names = {path.name.removesuffix(".tar.xz") for path in archives}
    assert names == {*PACKED, *HELD, "comparisons"}
    assert sum(path.stat().st_size for path in archives) < 10e6
    text = (ROOT / "paper" / "archive" / "README.md").read_text()
    assert all(path.name in text for path in archives)


@pytest.mark.parametrize("name", COMPARED)
def test_methods_are_compared_by_what_is_archived(name, tmp_path):
    unpack(ROOT / "paper" / "archive" / "comparisons.tar.xz", tmp_path)
    study, layout = read_study(ROOT / "config" / f"{name}.yaml"), Layout(tmp_path / name)
    collect(study, layout)
    shown = markdown(tables_of(study)["progress"].rows(layout).fillna("").astype(str))
    assert shown.count("\n") > 10 and shown in (ROOT / "docs" / COMPARED[name]).read_text()


def test_archives_that_are_unpacked_beside_each_other_hold_one_audit():
    audits = []
    for path in WHOLE:
        with tarfile.open(path) as packed:
            audits.append(packed.extractfile("shared/audit.csv").read())
    assert len(set(audits)) == 1


def test_the_paper_is_made_of_all_archives(long, tmp_path):
    """By the command of `make paper`, in processes that one starts that has computed in several threads."""
    if not long:
        pytest.skip("three minutes: make test-studies")
    for path in WHOLE:
        unpack(path, tmp_path)
    folders, output = [ROOT / "config" / name for name in PACKED], tmp_path / "dimat.pdf"
    options = ("--results", tmp_path, "--output", output, "--processes", "2")
    subprocess.run(
        [sys.executable, "-m", "dimat", "report", *folders, *options],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        timeout=300,
        check=True,
    )
    content = sources(Gathered(folders, tmp_path, processes=2))
    assert output.read_bytes() == typst.compile(content)
    systems = json.loads(content["content.json"])["systems"]
    assert systems and all(each["figures"] and not each["waiting"] for each in systems)
    assert int(typst.query(content, "<end-of-body>", field="value", one=True)) <= 12


def test_the_page_of_systems_is_that_of_the_archive(tmp_path):
    """In words and, but for round-off of other processors, in numbers."""
    unpack(SYSTEMS, tmp_path)
    found = {}
    for file in (ROOT / "config" / "systems").glob("*.yaml"):
        study = read_study(file)
        found[file.stem] = study, Layout(tmp_path / study.name)
    made, kept = systems_page(found), (ROOT / "docs" / "systems.md").read_text()
    assert re.sub(NUMBER, "#", made) == re.sub(NUMBER, "#", kept)
    numbers, expected = ([float(each) for each in re.findall(NUMBER, text)] for text in (made, kept))
    assert numbers == pytest.approx(expected, rel=0.05)
    shown = re.findall(r"\]\((systems/[^)]+)\)", kept)
    assert shown and all((ROOT / "docs" / path).exists() for path in shown)
