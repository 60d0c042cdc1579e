"""The gallery: its figures are there, of different kinds, and drawn by the commands that it names."""

import re
from pathlib import Path

import pytest

from dimat.errors import InputError
from dimat.experiment.reading import read_study
from paper.figures import figures_of
from paper.gallery import Exhibit, exhibits, gallery

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "gallery.md"


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("exhibit", exhibits(), ids=lambda each: each.figure)
def test_the_page_has_each_figure_with_its_command_caption_and_picture(exhibit):
    study = read_study(exhibit.config)
    figure = figures_of(study)[exhibit.figure]
    assert (ROOT / "paper" / "archive" / f"{exhibit.archive}.tar.xz").exists()
    sections = dict(part.split("\n", 1) for part in PAGE.read_text().split("\n## ")[1:])
    section = sections[exhibit.title]
    assert f"![{exhibit.title}]({exhibit.picture})" in section
    assert f"dimat figure {exhibit.config} --only {exhibit.figure}\n" in section
    assert re.sub(r"<[^>]+>", "", figure.caption()) in section
    assert "<svg" in (PAGE.parent / exhibit.picture).read_text()


def test_figures_are_of_different_kinds_and_nothing_else_lies_beside_them():
    kinds = [figures_of(read_study(each.config))[each.figure].kind for each in exhibits()]
    assert len(kinds) == len(set(kinds)) == PAGE.read_text().count("\n## ")
    there = {f"gallery/{path.name}" for path in (PAGE.parent / "gallery").iterdir()}
    assert there == {each.picture for each in exhibits()}


def test_a_figure_that_its_study_does_not_have_is_named(tmp_path):
    one = Exhibit(title="None", archive="paper-digits", study="T2", figure="maps")
    with pytest.raises(InputError, match=r"gallery.yaml: config/paper-digits/T2.yaml has no figure maps"):
        one.shown(tmp_path)


def test_records_that_are_missing_are_named(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        next(gallery(tmp_path))
