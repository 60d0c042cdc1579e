"""The page of results is what runs give: a part is trained here, the whole compared where the study was run.

Other processors round otherwise, and training amplifies it; so numbers need not be equal to their last digit.
"""

import re
from pathlib import Path

import pytest
import yaml

from dimat.experiment.collect import collect
from dimat.experiment.layout import Layout
from dimat.experiment.reading import parse_study, read_study
from dimat.experiment.runner import Runner
from paper.page import section
from paper.tables import tables_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
QUICK = ROOT / "config" / "quick.yaml"


def tables(text):
    """The tables of a page, by their headings, as rows by column."""
    found = {}
    for heading, content in re.findall(r"^### (.*?)\n(.*?)(?=^#|\Z)", text, re.M | re.S):
        lines = [line.strip("|").split("|") for line in content.splitlines() if line.startswith("|")]
        names, _, *rows = [[cell.strip() for cell in line] for line in lines]
        found[heading] = [dict(zip(names, row, strict=True)) for row in rows]
    return found


def close(found, expected):
    """Whether two cells have the same words, means within the spread, and its ends within twice that."""
    if re.sub(NUMBER, "#", found) != re.sub(NUMBER, "#", expected):
        return False
    ours, theirs = ([float(number) for number in re.findall(NUMBER, text)] for text in (found, expected))
    interval = re.search(rf"\[({NUMBER}), ({NUMBER})\]", expected)
    spread = theirs[1] if "±" in expected else 0
    if interval:
        spread = (float(interval[2]) - float(interval[1])) / 2
    apart = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    return all(
        gap <= 1 + (2 if place else 1) * spread + 0.02 * abs(b) * (not spread)
        for place, (gap, b) in enumerate(zip(apart, theirs, strict=True))
    )


def test_close_cells_are_close_and_others_are_not():
    assert close("84.4 ± 0.8", "84.0 ± 0.9")
    assert close("-23.5 [-32.3, -14.6]", "-21.9 [-26.7, -17.0]")
    assert not close("84.4 ± 0.8", "81.0 ± 0.8")
    assert not close("+2.0 [+1.0, +3.0]", "-2.0 [-3.0, -1.0]")
    assert not close("WA", "DIMAT")
    assert not close("24 holds", "24 violated")
    assert not close("120 holds", "24 holds")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """DIMAT and averaging on IID data, from the default study: its own runs, found by their ids."""
    content = yaml.safe_load(QUICK.read_text()) | {"partition": "iid", "method": ["dimat", "wa"]}
    content |= {"calibration": {"images": "pooled"}, "variants": []}
    study = parse_study(content, str(QUICK))
    assert set(study.runs) < set(read_study(QUICK).runs)
    layout = Layout(tmp_path_factory.mktemp("results") / "quick")
    runner = Runner(study, layout)
    for run in study.runs.values():
        for path, make, part in (
            (layout.prepared(run.partitioned.prepared.id), runner.prepare, run.partitioned.prepared),
            (layout.partitioned(run.partitioned.id), runner.partition, run.partitioned),
            (layout.pretrained(run.pretrained.id), runner.pretrain, run.pretrained),
        ):
            if not path.exists():
                make(part)
        runner.train(run)
    collect(study, layout)
    return study, layout


def test_runs_trained_here_give_the_published_differences(trained):
    study, layout = trained
    (found,) = tables_of(study)["difference"].rows(layout).to_dict("records")
    (row,) = [
        row
        for row in tables(PAGE)["quick: difference"]
        if (row["partition"], row["graph"]) == ("IID", "ring")
        and row["method"] == "DIMAT, pooled images, recalibrated"
    ]
    merges = [name for name in row if name.startswith("merge ")]
    assert len(merges) > 2
    for merge in merges:
        assert close(found[merge], row[merge]), (merge, found[merge], row[merge])


@pytest.mark.skipif(
    not (ROOT / "results" / "quick" / "provenance.json").exists(),
    reason="needs the results of the default study: make reproduce",
)
def test_the_default_study_gives_the_published_tables():
    study = read_study(QUICK)
    made, there = tables(section(study, Layout(ROOT / "results" / "quick"))), tables(PAGE)
    assert set(made) <= set(there)
    for heading, rows in made.items():
        for ours, theirs in zip(rows, there[heading], strict=True):
            assert list(ours) == list(theirs)
            for column in ours:
                assert close(ours[column], theirs[column]), (heading, column, ours, theirs)
