"""Whole files exchanged for others that are whole, between any two steps: refused or made anew, never mixed.

Three studies have the same configuration: one as it is, one with other images, one with another graph in the
file that it names. Files of one are put into another, or in the place of others of the same study; some of
what comes after is deleted; all steps are carried out. The records are then those of one of the studies, or
there are none.
"""

import random
import shutil
from collections import Counter
from typing import NamedTuple

import pytest
import yaml
from support.pictures import picture
from support.refusals import refused, run
from support.small import SMALL

from dimat.io.files import read_checked

STEPS = ("prepare", "partition", "pretrain", "tune", "train", "collect")
STUDY = SMALL | {
    "data": {"name": "folder", "path": "images"},
    "model": {"name": "plain", "widths": [2, 3]},
    "graph": {"name": "file", "path": "graph.txt"},
    "method": ["dimat", "dpsgd"],
    "seeds": [0, 1],
    "training": {"pretrain_epochs": 1, "rounds": 2, "epochs": 1, "batch_size": 10},
    "tuning": {"factors": [0.5, 1.0]},
}
RING, CHAIN = "0 1\n1 2\n2 0\n", "0 1\n1 2\n"


class Kind(NamedTuple):
    """Files of a study: where they are, what lies beside each, and the step that makes them."""

    pattern: str
    beside: tuple[str, ...]
    step: str


KINDS = {
    "data": Kind("shared/data/*.safetensors", (), "prepare"),
    "partition": Kind("shared/partitions/*.json", (), "partition"),
    "start": Kind("shared/starts/*.safetensors", (), "pretrain"),
    "choice": Kind("shared/choices/*.json", (), "tune"),
    "records": Kind("shared/runs/*/records.csv", ("records.csv.sha256",), "train"),
    "run": Kind("shared/runs/*/run.json", (), "train"),
    "records and run": Kind("shared/runs/*/records.csv", ("records.csv.sha256", "run.json"), "train"),
    "collected records": Kind("small/records.csv", ("records.csv.sha256",), "collect"),
}
OUTPUTS = {
    "prepare": ("shared/data",),
    "partition": ("shared/partitions",),
    "pretrain": ("shared/starts",),
    "tune": ("shared/choices", "shared/runs"),
    "train": ("shared/runs/{run}",),
    "collect": tuple(
        f"small/{name}"
        for name in ("records.csv", "records.csv.sha256", "runs.csv", "runs.csv.sha256", "provenance.json")
    ),
}
"""What each step makes, below the folder of results; of each run, what training makes."""


def build(folder, images, edges):
    """The study in ``folder``; ``images`` is their seed."""
    for split, count in (("train", 12), ("test", 4)):
        for label in ("ant", "bee"):
            place = folder / "images" / split / label
            place.mkdir(parents=True)
            for number in range(count):
                picture((images, split == "train", label == "ant", number)).save(place / f"{number}.png")
    (folder / "graph.txt").write_text(edges)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        for step in STEPS:
            code, _, err = run(monkeypatch, step, "study.yaml")
            assert code == 0, err
    return folder


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """The study as it is, with other images, with another graph."""
    root = tmp_path_factory.mktemp("studies")
    own, other, chain = root / "own", root / "images", root / "graph"
    for folder in (own, other, chain):
        folder.mkdir()
    return build(own, 0, RING), build(other, 1, RING), build(chain, 0, CHAIN)


def records(folder):
    return read_checked(folder / "results" / "small" / "records.csv")


def made_by(steps, folder):
    """What these steps make, of what there is now: trials of choices are no runs of the study."""
    root = folder / "results"
    runs = [line.partition(",")[0] for line in (root / "small" / "runs.csv").read_text().splitlines()[1:]]
    names = [name for step in steps for name in OUTPUTS[step]]
    return [root / name.format(run=run) for name in names for run in (runs if "{run}" in name else [""])]


def swap(folder, studies, generator):
    """Exchange something in ``folder``, a copy of the first study: what, and the step that makes it."""
    _, other, chain = studies
    what = generator.choice(["images", "graph", *KINDS])
    if what == "images":
        shutil.rmtree(folder / "images")
        shutil.copytree(other / "images", folder / "images")
        return what, "prepare"
    if what == "graph":
        shutil.copy(chain / "graph.txt", folder / "graph.txt")
        return what, "prepare"
    kind = KINDS[what]
    root = folder / "results"
    path = generator.choice(sorted(root.glob(kind.pattern)))
    alike = [each for each in sorted(root.glob(kind.pattern)) if each != path]
    foreign = other / "results" / path.relative_to(root)
    source = generator.choice([foreign, *alike[:1]])
    shutil.copy(source, path)
    for name in kind.beside:
        shutil.copy(source.with_name(name), path.with_name(name))
    return what, kind.step


def test_swapped_files_are_never_mixed(studies, tmp_path, monkeypatch, long):
    expected = [records(folder) for folder in studies]
    assert len(set(expected)) == 3
    found = Counter()
    for case in range(200 if long else 12):
        generator = random.Random(case)
        folder = tmp_path / "case"
        shutil.copytree(studies[0], folder)
        what, step = swap(folder, studies, generator)
        first = generator.randint(STEPS.index(step) + (what not in ("images", "graph")), len(STEPS))
        for path in made_by(STEPS[first:], folder):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        monkeypatch.chdir(folder)
        outcome = "made anew"
        for each in STEPS:
            code, _, err = run(monkeypatch, each, "study.yaml")
            if refused(code, err):
                outcome = "refused"
                break
        if outcome != "refused":
            now = records(folder)
            assert now in expected, f"case {case}: {what}"
            wanted = {"images": expected[1], "graph": expected[2]}.get(what, expected[0])
            assert now == wanted, f"case {case}: {what}"
        found[what, outcome] += 1
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(folder)
    print(dict(found))
    assert {outcome for _, outcome in found} == {"refused", "made anew"}
