"""What few bytes buy: the best until a budget is spent, and what is said of it."""

import numpy
import pytest
from matplotlib import pyplot
from matplotlib.container import ErrorbarContainer
from support.made_up import MODEL, write_study

from dimat.io.files import write_json
from paper.figures import figures_of
from paper.figures.budgets import BudgetsFigure

KEYS = {
    "method": ["dimat", "sparta", "dpsgd", "local"],
    "graph": ["ring", "complete"],
    "agents": 4,
    "training": {"rounds": 4, "batch_size": 10, "pretrain_epochs": 1},
    "seeds": [0, 1, 2],
}
AT = {
    "dimat": [0.2, 0.3, 0.6, 0.5, 0.4],  # best in the midst
    "sparta": [0.2, 0.2, 0.3, 0.4, 0.5],
    "dpsgd": [0.2, 0.2, 0.5, 0.7, 0.9],
    "local": [0.2, 0.2, 0.2, 0.2, 0.25],
}
MODELS = {"dimat": [2, 4, 6, 8], "sparta": [0, 0.1, 0.2, 1], "dpsgd": [0, 40, 80, 120]}
"""Sent by an agent until after each merge."""
BEST = {
    "DIMAT": {1: 0.2, 10: 0.6, 100: 0.6},  # its first merge costs more than one network
    "SPARTA": {1: 0.5, 10: 0.5, 100: 0.5},  # which is what it has spent in the end, exactly
    "D-PSGD": {1: 0.2, 10: 0.2, 100: 0.7},  # nothing, until its second merge
    "no communication": {1: 0.25, 10: 0.25, 100: 0.25},
}


def reached(run, round, agent):
    return AT[run.method.name][round] + 0.001 * run.seed


def more(run):
    for round, models in enumerate(MODELS.get(run.method.name, []), start=1):
        for agent in range(4):
            if models:
                yield round, "merged", agent, "", "bytes_sent_models", 0.75 * models * MODEL
                yield round, "merged", agent, "", "bytes_sent_orders", 0.25 * models * MODEL


@pytest.fixture
def study(tmp_path):
    found, layout = write_study(tmp_path, reached, more, **KEYS)
    for id in found.pretrained:
        write_json(layout.start_outline(id), {"about": {}, "network_bytes": MODEL})
    return found, layout


def of_study(study):
    return [each for each in figures_of(study[0]).values() if isinstance(each, BudgetsFigure)]


def test_it_is_the_best_of_all_merges_until_the_budget_is_spent(study):
    (figure,) = of_study(study)
    rows = figure.reached(study[1])
    assert len(rows) == 4 * 2 * 3
    for row in rows.to_dict("records"):
        for budget, value in BEST[row["rival"]].items():
            assert row[budget] == pytest.approx(100 * (value + 0.001 * row["seed"])), (row, budget)


def test_what_is_best_is_said_beside_dimat(study):
    (figure,) = of_study(study)
    found = figure.finding(study[1])
    apart = "DIMAT 20.1 % [19.9, 20.3] (difference -30.0 [-30.0, -30.0])"
    assert found.startswith(f"Ring, IID, by budget: 1: SPARTA 50.1 % [49.9, 50.3], {apart}; 10: DIMAT 60.1 %")
    assert "; 100: D-PSGD 70.1 % [69.9, 70.3], DIMAT 60.1 % [59.9, 60.3] (difference -10.0" in found
    assert ". Complete, IID, by budget: 1: SPARTA" in found
    assert found.endswith("Brackets are 95 % intervals over 3 seeds.")


def test_each_line_has_a_point_for_each_budget(study):
    (figure,) = of_study(study)
    drawn = figure.draw(study[1])
    panel = drawn.axes[0]
    names = [label.get_text() for label in panel.get_yticklabels()]
    assert set(names) == set(BEST)
    points = {}
    for container in panel.containers:
        assert isinstance(container, ErrorbarContainer)
        ((x, y),) = numpy.asarray(container.lines[0].get_xydata())
        points.setdefault(names[round(y)], []).append((y, x))
    pyplot.close(drawn)
    for name, found in points.items():
        expected = [100 * (value + 0.001) for value in BEST[name].values()]
        assert [x for _, x in sorted(found)] == pytest.approx(expected)


def test_it_is_of_studies_with_methods_that_send_little(tmp_path):
    study = write_study(tmp_path, reached, more, **KEYS | {"method": ["dimat", "dpsgd"]})
    assert not of_study(study)
