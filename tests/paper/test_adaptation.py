"""The figure of networks that adapt: what it joins, how it calls runs, and what it says came out."""

import math

import pytest
from matplotlib import pyplot
from support.made_up import write_study

from paper.figures import figures_of

LEARNT = {True: 4.0, False: 6.0}
"""What agents reach, by whether they cooperate; 1 less on a complete graph."""

DESTROYED = {8: math.inf, 9: math.nan}
"""What so many steps of adaptation make of the networks of agents who are alone."""


def reached(run, round, agent):
    value = LEARNT[getattr(run.method, "cooperative", True)]
    return value - (run.graph is not None and run.graph.name == "complete") + 0.1 * run.seed * (agent + 1)


def more(run):
    for round in range(run.training.rounds + 1):
        for agent in range(run.agents):
            row = round, "merged" if round else "start", agent, ""
            yield *row, "gradient_steps", 10.0 * max(round - 1, 0)
            for steps in range(10) if round in (0, run.training.rounds) else ():
                value = reached(run, round, agent) / max(steps, 0.5)
                lost = DESTROYED.get(steps) if not getattr(run.method, "cooperative", True) else None
                yield *row, f"{run.task.metric.name}_{steps}", value if lost is None else lost


@pytest.fixture
def study(tmp_path):
    return write_study(
        tmp_path,
        reached,
        more,
        task="sines",
        data={"name": "sines", "bands": 2},
        model={"name": "mlp", "side": 1},
        partition="classes",
        method=["dif_maml", {"name": "dif_maml", "cooperative": False}, "dpsgd"],
        calibration={"repair": "none"},
        measures="adaptation",
        seeds=[0, 1, 2],
        training={"rounds": 3},
        variants=[
            {"graph": "complete", "method": "dif_maml"},
            {"task": {"queries": "same"}, "method": "dif_maml"},
            {"task": "rotations", "data": "digits", "model": "plain", "method": "dif_maml"},
        ],
    )


LABELS = [
    "Dif-MAML",
    "Dif-MAML, alone",
    "D-PSGD",
    "Dif-MAML, complete graph",
    "Dif-MAML, queries as support (published)",
]


def test_all_runs_of_a_data_set_are_in_one_figure(study):
    found = {id: each for id, each in figures_of(study[0]).items() if each.kind == "adaptation"}
    assert list(found) == ["adaptation-sines", "adaptation-digits"]
    assert [len(each.runs) for each in found.values()] == [15, 3]
    assert "95 % t-intervals (n = 3 seeds)" in found["adaptation-sines"].caption()


def test_it_has_a_line_for_each_way_of_learning_on_both_sides(study):
    figure = figures_of(study[0])["adaptation-sines"].draw(study[1])
    pyplot.close(figure)
    left, right = figure.axes
    for panel in (left, right):
        assert sorted(line.get_label() for line in panel.lines) == sorted(LABELS)
        assert panel.get_yscale() == "log"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == LABELS
    lines = {line.get_label(): line for line in left.lines}
    assert list(lines["Dif-MAML"].get_xdata()) == [10, 20]
    assert list(lines["Dif-MAML, alone"].get_ydata()) == pytest.approx([6.15, 6.15])
    lines = {line.get_label(): line for line in right.lines}
    assert list(lines["D-PSGD"].get_xdata()) == list(range(10))
    assert lines["Dif-MAML, complete graph"].get_ydata()[:3] == pytest.approx([6.3, 3.15, 1.575])


def test_the_finding_is_of_the_first_and_of_what_others_have_more(study):
    found = figures_of(study[0])
    said = found["adaptation-sines"].finding(study[1])
    assert said.startswith("In the end Dif-MAML has 4.15 [3.78, 4.52] after one step of adaptation, 8.3 [")
    assert " before it and 0.461 [" in said and "corrected for 4 (Holm): “Dif-MAML, alone” +2 [" in said
    assert "“Dif-MAML, complete graph” -1 [" in said and said.endswith("95 % intervals over 3 seeds.")
    alone = found["adaptation-digits"].finding(study[1])
    assert "400.0 %" not in alone and "Holm" not in alone and "415.0 %" in alone
