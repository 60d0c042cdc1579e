"""AUROC against what was sent: which studies have the figure, its lines, and what it says came out."""

import pytest
from matplotlib import pyplot
from support.made_up import write_study

from paper.figures import figures_of
from paper.figures.ranking import RankingFigure

TWO_CLASSES = {"name": "digits", "two_classes": {"positive": [5, 6, 7, 8, 9], "share": 0.1}}
WAYS = [{"name": "coda", "local_steps": 1}, {"name": "coda", "local_steps": 8}]


def reached(run, round, agent):
    """Rarer averagings lose a hundredth; cross-entropy gains two, but for seed 1."""
    lost = 0.01 * (getattr(run.method, "local_steps", 1) == 8)
    gained = 0.02 * (run.task.name == "logistic") * (1 - run.seed)
    return 0.8 + 0.05 * round - lost + gained


def sent(run):
    for round in (1, 2):
        size = 2.0**20 * round / getattr(run.method, "local_steps", 1)
        yield round, "merged", 0, "", "bytes_sent_models", size * (run.method.name != "local")


@pytest.fixture
def made(tmp_path):
    keys = {"method": [*WAYS, "local"], "data": TWO_CLASSES, "training": {"rounds": 2}, "seeds": [0, 1]}
    return write_study(tmp_path, reached, sent, task=["auc", "logistic"], **keys)


def test_lines_of_all_objectives_are_in_one_figure(made):
    study, layout = made
    (figure,) = RankingFigure.of(study)
    drawn = figure.draw(layout)
    pyplot.close(drawn)
    (panel,) = (each for each in drawn.axes if each.get_title())
    assert panel.get_title() == "ring, IID"
    lines = {line.get_label(): line for line in panel.lines}
    assert set(lines) == {
        f"CoDA, local steps {steps}, {by}" for steps in (1, 8) for by in ("AUC loss", "cross-entropy")
    }
    rare = lines["CoDA, local steps 8, AUC loss"]
    assert rare.get_xdata().tolist() == pytest.approx([1 / 16, 2 / 16])  # two agents, of which one sends
    assert rare.get_ydata().tolist() == pytest.approx([0.84, 0.89])
    assert {line.get_linestyle() for label, line in lines.items() if "cross" in label} == {"--"}


def test_it_says_what_sending_less_costs_and_which_objective_is_better(made):
    study, layout = made
    (figure,) = RankingFigure.of(study)
    assert "Lines are solid by AUC loss and dashed by cross-entropy." in figure.caption()
    found = figure.finding(layout)
    often, rare, other = "“CoDA, local steps 1, %s”", "“CoDA, local steps 8, %s”", "cross-entropy"
    assert found.startswith(
        f"ring, IID: {rare % 'AUC loss'} sends 0.12 of the bytes of {often % 'AUC loss'} and reaches "
        "0.89 [0.89, 0.89] against 0.9 [0.9, 0.9] (difference -0.01 [-0.01, -0.01])"
    )
    assert (
        f"the best by AUC loss, {often % 'AUC loss'}, against the best by {other}, {often % other}: "
        "0.9 [0.9, 0.9] against 0.91 [0.783, 1.04] (difference -0.01 [-0.137, +0.117])"
    ) in found
    assert found.endswith("Brackets are 95 % intervals over 2 seeds.")


def test_studies_of_classification_or_of_one_way_have_none(tmp_path):
    study, _ = write_study(tmp_path, reached, sent, method=["dpsgd", "wa"], training={"rounds": 2})
    assert not list(RankingFigure.of(study))
    alone = {"method": ["dpsgd", "wa"], "data": TWO_CLASSES, "training": {"rounds": 2}, "task": "auc"}
    study, _ = write_study(tmp_path, reached, sent, **alone)  # nothing that `progress` does not show
    assert not list(RankingFigure.of(study))
    assert "ranking" not in {figure.kind for figure in figures_of(study).values()}
