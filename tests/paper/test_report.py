"""The paper over several studies: its numbers are those of records, and what is not measured is said."""

import re
import shutil
from pathlib import Path

import pytest
import typst
import yaml
from support.made_up import write_archived

from dimat.experiment.layout import Layout
from dimat.experiment.reading import read_study
from paper.report.answers import questions
from paper.report.content import content_of
from paper.report.contrasts import pairs_where
from paper.report.entries import entries, in_paper, systems
from paper.report.gathering import Gathered
from paper.report.typesetting import sources
from paper.systems_page import systems_page

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "config" / "paper-small"
PROSE = ROOT / "paper" / "report"
NAMES = r"arXiv 2404\.08079|CVPR 2024|abs/2404\.08079|ResNet-\d+|VGG-\d+|NeurIPS|form of 2024|[TF]\d[a-k]?\b"
"""Digits that are no results: of the paper replicated, of networks and of entries."""


def written(folder, stems, **changes):
    """Copies some studies of the small catalogue, and nothing of its size."""
    folder.mkdir()
    for stem in stems:
        content = yaml.safe_load((SMALL / f"{stem}.yaml").read_text())
        (folder / f"{stem}.yaml").write_text(yaml.safe_dump(content | changes))
    return folder


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """Three studies of which two are finished, with made-up records."""
    folder = tmp_path_factory.mktemp("catalogue")
    config = written(folder / "three", ["F9b", "F9e", "F9k"])
    for stem in ("F9b", "F9k"):
        write_archived(folder / "results", read_study(config / f"{stem}.yaml"), reaches)
    return config, folder / "results"


def reaches(run, round, agent, gain=0.25):
    """Matching is better than averaging by ``gain`` at first, a fifth of it later, and more noisily so."""
    value = 0.3 + 0.05 * min(round, 4) + 0.01 * run.seed
    return value + (run.method.name == "dimat") * (gain if round == 1 else gain / 5 if round > 1 else 0)


@pytest.fixture(scope="module")
def gathered(catalogue):
    config, results = catalogue
    return Gathered([config], results, processes=1)


def by_question(content):
    return {each["question"]: each for each in content["answers"]["each"]}


def test_answers_are_differences_of_records_with_n(gathered):
    answers = by_question(content_of(gathered))
    own = answers["With an agent's own images?"]
    assert own["verdicts"] == ["yes", "yes", "yes"] and own["waiting"] == ""
    ((setting, count, first, _, final),) = own["rows"]
    assert "IID" in setting and count == "3"
    assert first == "+25.0 [+25.0, +25.0]" and final == "+5.0 [+5.0, +5.0]"
    assert len(answers["On skewed data?"]["rows"]) == 3


def test_what_is_not_there_is_said_with_runs_and_hours(gathered):
    answers = by_question(content_of(gathered))
    held = answers["Does matching once, and holding, beat matching in every round?"]
    assert not held["rows"]
    assert re.fullmatch(r"not measured yet: \d+ runs, [\d.]+ hours on one H200 \(three\)", held["waiting"])
    assert "(config/paper)" in answers["As published, in a VGG-16?"]["waiting"]


def test_other_records_give_other_numbers(catalogue, tmp_path, gathered):
    config, _ = catalogue
    for stem in ("F9b", "F9k"):
        worse = lambda run, round, agent: reaches(run, round, agent, gain=-0.1)  # noqa: E731
        write_archived(tmp_path, read_study(config / f"{stem}.yaml"), worse)
    before, after = (content_of(each) for each in (gathered, Gathered([config], tmp_path, 1)))
    assert by_question(after)["With an agent's own images?"]["verdicts"] == ["worse", "worse", "worse"]
    for key in ("answers", "primary", "appendix", "entries", "more"):
        assert before[key] != after[key] or not before[key], key
    for key in ("settings", "status", "costs", "checklist", "bounds"):
        assert before[key] == after[key], key


def test_texts_hold_no_number_that_is_a_result():
    """Text is in four files; the template has lengths, and formulas between dollars."""
    for name in ("prose.yaml", "questions.yaml", "entries.yaml", "checklist.yaml"):
        lines = [line for line in (PROSE / name).read_text().splitlines() if not line.startswith("#")]
        text = re.sub(r"\{[^}]*\}|^\s*(study|where|- item|files):.*|^\w+:$", "", "\n".join(lines), flags=re.M)
        assert not re.findall(r"\d", re.sub(NAMES, "", text)), (
            name,
            re.findall(r".*\d.*", re.sub(NAMES, "", text)),
        )
    template = re.sub(r"//.*|\$[^$]*\$|\"[^\"]*\"", "", (PROSE / "report.typ").read_text())
    markup = [line for line in template.splitlines() if not re.search(r"[#({:,=)}]", re.sub(NAMES, "", line))]
    assert not [line for line in markup if re.search(r"\d", re.sub(NAMES, "", line))]


def test_texts_on_systems_hold_no_number_that_is_a_result():
    """Years, sizes and names of letters are facts of papers; shares and decimals would be results."""
    for id, system in systems().items():
        text = " ".join((system.what, system.claims, system.departures))
        assert not re.findall(r"\d+ ?%|\d+\.\d+(?!\d*\])", re.sub(r"arXiv \d{4}\.\d{5}", "", text)), id


def test_files_that_the_checklist_names_are_there():
    checklist = yaml.safe_load((PROSE / "checklist.yaml").read_text())
    assert len(checklist) == 15 and {each["answer"] for each in checklist} <= {"Yes", "No", "NA"}
    for path in (path for each in checklist for path in each["files"]):
        assert (ROOT / path).exists(), path


def test_every_study_of_the_catalogue_has_an_entry():
    known = {stem for entry in entries().values() for stem in entry.study}
    assert {file.stem for file in (ROOT / "config" / "systems").glob("*.yaml")} == set(systems())
    for folder in ("paper", "paper-small", "paper-digits"):
        assert {file.stem for file in (ROOT / "config" / folder).glob("*.yaml")} <= known


def test_names_of_studies_sort_as_the_paper():
    names = [in_paper(stem) for stem in ("t2", "F3", "T4", "f9a", "F9k")]
    assert names == sorted(names) and names[0].startswith("02 T2, F2: ")
    assert in_paper("mine") == "mine"


@pytest.mark.parametrize("folder", ["paper", "paper-small", "paper-digits"])
def test_entries_show_something_of_their_study_in_the_body(folder):
    stems = {file.stem: file for file in (ROOT / "config" / folder).glob("*.yaml")}
    for id, entry in entries().items():
        if stem := entry.study_in(stems):
            study = read_study(stems[stem])
            figures = entry.figures_in(study)
            assert any(map(entry.in_body, figures.values())) or entry.tables_in(study), id


@pytest.mark.parametrize("id", systems())
def test_systems_show_a_figure_and_are_in_the_report_and_on_their_page(id, tmp_path):
    study = read_study(ROOT / "config" / "systems" / f"{id}.yaml")
    write_archived(tmp_path / "results", study, reaches)
    kinds = {figure.kind for figure in systems()[id].figures_in(study).values()}
    assert kinds == set(systems()[id].figures)
    (tmp_path / "one").mkdir()
    shutil.copy(ROOT / "config" / "systems" / f"{id}.yaml", tmp_path / "one")
    content = content_of(Gathered([tmp_path / "one"], tmp_path / "results", 1))
    assert not content["entries"]
    (shown,) = content["systems"]
    assert shown["what"] and shown["claims"] and shown["figures"]
    page = systems_page({id: (study, Layout(tmp_path / "results" / study.name))})
    assert page.count("![") == len(shown["figures"]) and shown["title"] in page


@pytest.mark.parametrize("folder", ["paper", "paper-small", "paper-digits"])
def test_questions_have_runs_in_their_catalogue(folder):
    """Those on larger networks have none on digits."""
    for question in questions():
        if folder == "paper-digits" and question.where.get("model.name") in [("vgg16",), ("resnet50",)]:
            continue
        study = read_study(ROOT / "config" / folder / f"{question.study}.yaml")
        pairs = pairs_where(study, question.contrast, question.where)
        assert pairs and all(study.runs[own].seed == study.runs[other].seed for own, other in pairs), question


def test_the_whole_is_typeset_the_same_twice(gathered):
    first = typst.compile(sources(gathered))
    assert first.startswith(b"%PDF") and first == typst.compile(sources(gathered))


def test_a_table_of_one_row_is_typeset(catalogue, tmp_path):
    config = written(tmp_path / "one", ["F9k"])
    assert typst.compile(sources(Gathered([config], catalogue[1], processes=1))).startswith(b"%PDF")


def test_the_body_of_the_whole_catalogue_has_twelve_pages(long, tmp_path):
    if not long:
        pytest.skip("two minutes: make test-studies")
    for file in SMALL.glob("*.yaml"):
        write_archived(tmp_path, read_study(file), reaches)
    content = sources(Gathered([SMALL], tmp_path, processes=2))
    assert int(typst.query(content, "<end-of-body>", field="value", one=True)) <= 12
