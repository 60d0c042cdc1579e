"""Figures: which a study has, what lines they hold, how captions read, and the paper that takes them."""

import re

import docutils.core
import docutils.nodes
import pytest
from matplotlib import pyplot
from support.made_up import write_finished, write_study

from dimat.errors import InputError
from dimat.experiment.reading import parse_study
from dimat.io.files import write_json
from paper import style
from paper.drawn import in_report
from paper.figures import figures_of
from paper.looks import looks_of
from paper.pdf import typeset
from paper.tables import tables_of

METHODS = ["dimat", "wa", "local", "pooled", "dpsgd"]
AUDITED = [f"audit-{name}" for name in ("bounds", "tightness", "readings", "holonomy", "gain", "bytes")]


def more(run):
    """What matching and links record."""
    for layer, share in (("one", 0.25), ("two", 0.75)) if run.matching else ():
        for round in (1, 2):
            yield round, "merged", "", layer, "moved_share", share
    for round in (0, 1, 2):
        row = round, "merged" if round else "start", 0, ""
        yield *row, "gradient_steps", 5.0 * max(round - 1, 0)
        yield *row, "bytes_sent_models", 2.0**20 * round * (run.method.communicates != "never")


@pytest.fixture
def study(tmp_path):
    matchings = [{}, {"rematch": "first_meeting"}]
    keys = {
        "method": METHODS,
        "matching": matchings,
        "partition": ["iid", "classes"],
        "training": {"rounds": 2},
    }
    return write_study(tmp_path, lambda run, round, agent: 0.25 * round, more, seeds=[0, 1], **keys)


def panels_of(study, name):
    study, layout = study
    figure = figures_of(study)[name].draw(layout)
    pyplot.close(figure)
    return [panel for panel in figure.axes if panel.get_title()]


def test_a_study_has_its_figures(study):
    assert list(figures_of(study[0])) == [
        "graphs",
        "holdings-digits-iid-2",
        "holdings-digits-classes-2",
        *("progress-digits-plain-2", "costs-digits-plain-2", "communication-digits-plain"),
        "matching-digits-plain-2",
        *AUDITED,
    ]


def test_two_data_sets_of_one_kind_are_two_figures(study):
    two = [{"name": "digits"}, {"name": "digits", "size": 16}]
    other = parse_study(study[0].model_dump(mode="json") | {"data": two, "variants": []}, "study")
    first, second = (each for each in figures_of(other).values() if each.kind == "progress")
    assert not set(first.runs) & set(second.runs)


def test_progress_has_a_line_for_each_method_in_each_setting(study):
    panels = panels_of(study, "progress-digits-plain-2")
    assert [panel.get_title() for panel in panels] == ["ring, IID", "ring, whole classes"]
    for panel in panels:
        *lines, start = panel.lines
        assert {line.get_label() for line in lines} == {
            *("DIMAT, matched every round", "DIMAT, matched once", "WA"),
            *("no communication", "pooled training", "D-PSGD"),
        }
        assert all(list(line.get_ydata()) == [0, 25, 50] for line in lines)
        assert (start.get_label(), list(start.get_ydata())) == ("agents before the first merge", [0, 0])
    assert panels[0].get_ylabel() == "test accuracy [%]"


def test_costs_leave_out_what_sends_nothing(study):
    taken, sent = panels_of(study, "costs-digits-plain-2")[:2]
    assert sorted(len(line.get_xdata()) for line in taken.lines) == [2] * 6
    assert sorted(len(line.get_xdata()) for line in sent.lines) == [0, 0, 2, 2, 2, 2]
    assert {tuple(line.get_xdata()) for line in sent.lines} == {(), (0.5, 1)}


def test_matchings_are_means_over_layers(study):
    panels = panels_of(study, "matching-digits-plain-2")
    for line in (line for panel in panels for line in panel.lines):
        assert (list(line.get_xdata()), list(line.get_ydata())) == ([1, 2], [0.5, 0.5])


def test_drift_is_drawn_and_told_where_it_is_recorded(tmp_path):
    """Of two ways of matching, that which moves the mean most, and least; means over two seeds."""

    def drifting(run):
        yield from more(run)
        for round in (1, 2):
            often = run.matching.rematch.name == "every_round"
            yield round, "merged", "", "", "drift", 100.0 * round * often + run.seed

    def reached(*_):
        return 0.5

    matchings = [{}, {"rematch": "first_meeting"}]
    keys = {"method": "dimat", "matching": matchings, "training": {"rounds": 2}, "seeds": [0, 1]}
    name = "matching-digits-plain-2"
    study, layout = write_study(tmp_path / "new", reached, drifting, **keys)
    *_, panel = panels_of((study, layout), name)
    assert panel.get_title().startswith("drift")
    assert sorted(list(line.get_ydata()) for line in panel.lines) == [[0.5, 0.5], [100.5, 200.5]]
    assert figures_of(study)[name].finding(layout) == (
        "Drift. Ring, IID: after merge 2 the mean has moved by 200 learning rates [194, 207] with “DIMAT, "
        "matched every round”, and by 0.5 learning rates [-5.85, 6.85] with “DIMAT, matched once”. Brackets "
        "are 95 % intervals over 2 seeds."
    )
    older = write_study(tmp_path / "older", reached, more, **keys)
    assert not [panel for panel in panels_of(older, name) if panel.get_title().startswith("drift")]
    assert figures_of(older[0])[name].finding(older[1]) == ""


def test_lines_of_other_runs_look_different_and_the_same_in_every_figure(study):
    looks, runs = looks_of(study[0]), study[0].runs
    found = {}
    for id, run in runs.items():
        found.setdefault((run.method.name, run.matching), set()).add(tuple(looks[id].values()))
    assert all(len(looks) == 1 for looks in found.values())
    assert len(set.union(*found.values())) == len(found)


def test_graphs_are_drawn_with_their_directions_and_spectral_gaps(tmp_path):
    graphs = ["ring", "directed_ring", "one_peer_exponential"]
    study = write_study(tmp_path, lambda *_: 0.5, method="sgp", graph=graphs, agents=4)
    panels = panels_of(study, "graphs")
    assert [panel.get_title() for panel in panels] == [
        "ring, 4 agents\nspectral gap 0.667",
        "directed ring, 4 agents\nspectral gap 0.293",
        "one peer exponential, 4 agents\ntime-varying, spectral gap 1.000",
    ]
    assert [len(panel.patches) for panel in panels] == [0, 4, 8]  # arrows


def test_the_comparison_that_decides_is_marked(tmp_path):
    repairs = [{"images": "pooled"}, {"images": "pooled", "repair": "none"}]
    keys = {"method": ["dimat", "wa"], "calibration": repairs, "seeds": list(range(6))}
    study, layout = write_finished(tmp_path, training={"rounds": 2}, **keys)
    figure = figures_of(study)["audit-gain"]
    labels = figure.draw(layout).axes[0].get_legend_handles_labels()[1]
    pyplot.close("all")
    assert labels == ["IID, DIMAT, recalibrated (primary)", "IID, DIMAT, no repair"]
    assert "the seed among it, of which there are 6." in figure.caption()
    claims = tables_of(study)["claims"].rows(layout).set_index("id").primary
    shown = (
        r"WA - DIMAT at the (first|last) merge, .*, in points, n = 6 seeds: -?[\d.]+ \[-?[\d.]+, -?[\d.]+\]"
    )
    assert [id for id, text in claims.items() if re.fullmatch(shown, text)] == ["final-gain", "initial-gain"]
    assert set(claims.drop(["final-gain", "initial-gain"])) == {""}


@pytest.mark.parametrize("ending", style.FORMATS)
def test_figures_are_the_same_bytes_every_time(ending):
    drawn = []
    for _ in range(2):
        figure, axes = pyplot.subplots()
        axes.plot([0, 1], [1, 0])
        axes.set_title("it")
        drawn.append(style.as_file(figure, ending))
        pyplot.close(figure)
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith({"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[ending])
    assert not re.search(rb"CreationDate|Producer|Creator|Software|<dc:date>", drawn[0])


def test_captions_are_plain_text_in_reports_too(study):
    for shown in [*figures_of(study[0]).values(), *tables_of(study[0]).values()]:
        caption, escaped = shown.caption(), in_report(shown.caption())
        (paragraph,) = docutils.core.publish_doctree(escaped, settings_overrides={"report_level": 1}).children
        assert isinstance(paragraph, docutils.nodes.paragraph)
        assert paragraph.astext() == caption


def test_the_paper_says_what_makes_a_file_that_is_missing(study):
    study, layout = study
    write_json(layout.provenance, {"by_run": {}})
    with pytest.raises(InputError, match=r"graphs\.txt: no such file; dimat figure --only graphs makes it"):
        typeset(study, layout)
