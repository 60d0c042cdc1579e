"""Figures of the distance to an optimum: which studies have them, and what lines and sentences say."""

import numpy
import pytest
from matplotlib import pyplot
from support.made_up import write_study

from paper.figures import figures_of
from paper.figures.moving import METHODS, MovingFigure
from paper.intervals import of_powers

CONVEX = {
    "data": {"name": "digits", "crop": 0},
    "model": "linear",
    "graph": ["ring", {"name": "ring", "link_failures": 0.5}],
    "agents": 3,
    "method": [{"name": name, "weight_decay": 0.1} for name in ("dpsgd", "dot_admm")],
    "calibration": {"repair": "none"},
    "measures": "optimum",
    "training": {"rounds": 3, "pretrain_epochs": 0},
    "seeds": [0, 1],
}


def distances(run):
    """Halved or divided by 100 in each round; seeds are a factor of 10 apart."""
    for round in range(run.training.rounds + 1):
        for agent in range(run.agents):
            row = round, "merged" if round else "start", agent, ""
            yield (
                *row,
                "distance_to_optimum",
                10.0**-run.seed * (0.01 if run.method.name == "dot_admm" else 0.5) ** round,
            )
            yield *row, "gradient_steps", 5.0 * round
            yield *row, "messages_sent", 2.0 * round
            yield *row, "bytes_sent_models", 100.0 * round


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path, lambda *_: 0.5, distances, **CONVEX)


def test_a_study_of_an_optimum_has_its_figures_and_none_of_costs(study):
    kinds = {figure.kind for figure in figures_of(study[0]).values()}
    assert {"optimum", "moving", "progress"} < kinds
    assert "costs" not in kinds


def test_lines_are_geometric_means_over_seeds(study):
    study, layout = study
    (shown,) = (figure for figure in figures_of(study).values() if figure.kind == "optimum")
    figure = shown.draw(layout)
    pyplot.close(figure)
    assert [panel.get_title() for panel in figure.axes if panel.get_title()] == [
        "ring, IID",
        "ring, link failures 0.5, IID",
    ]
    assert len(figure.axes) == 4
    for place, panel in enumerate(figure.axes):
        across = [5, 10, 15] if place < 2 else [2, 4, 6]
        found = {line.get_label(): line for line in panel.lines}
        assert set(found) == {"D-PSGD", "DOT-ADMM"}
        for title, factor in (("D-PSGD", 0.5), ("DOT-ADMM", 0.01)):
            assert list(found[title].get_xdata()) == across
            expected = -0.5 + numpy.arange(1, 4) * numpy.log10(factor)
            numpy.testing.assert_allclose(found[title].get_ydata(), expected)
    said = shown.finding(layout)
    assert said.startswith("Ring, IID, after the last merge: DOT-ADMM 3.2e-07 [")
    assert said.index("DOT-ADMM") < said.index("D-PSGD 0.04 [")
    assert said.endswith("Brackets are 95 % intervals over 2 seeds.")


def test_powers_of_ten_are_said_as_numbers():
    assert of_powers(numpy.array([-3.0])) == "0.001"
    assert of_powers(numpy.array([-4.0, -4.0, -4.0])) == "0.0001 [0.0001, 0.0001]"
    low, high = of_powers(numpy.array([-4.0, -2.0])).removeprefix("0.001 [").removesuffix("]").split(", ")
    assert float(low) < 1e-4 and float(high) > 1e-2


def test_the_moving_minimizer_is_followed_by_every_method_that_is_named(study, monkeypatch):
    monkeypatch.setattr("paper.figures.moving.PERIOD", 6)
    monkeypatch.setattr("paper.figures.moving.SEEDS", 3)
    figure = MovingFigure(study[0])
    drawn = figure.draw(study[1])
    pyplot.close(drawn)
    assert len(drawn.axes) == 3
    for panel in drawn.axes:
        assert [len(line.get_xdata()) for line in panel.lines] == [18] * len(METHODS)
    said = figure.finding(study[1])
    assert said.count("DOT-ADMM") == said.count("D-PSGD") == 3
