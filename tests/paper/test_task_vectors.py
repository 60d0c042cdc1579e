"""The figure of task vectors: what it shows and says, from records whose numbers are known."""

import pytest
from matplotlib import pyplot
from support.labels import overlapping
from support.made_up import write_study

from paper.figures import figures_of
from paper.style import as_file

OFFSETS = {0: -0.02, 1: 0.0, 2: 0.05}
"""Of each seed; their mean is 0.01."""
METHODS = [
    "local",
    "wa",
    {"name": "wa", "coefficients": "task_arithmetic"},
    {"name": "wa", "coefficients": {"name": "adamerging", "images": "test"}},
    {"name": "wa", "coefficients": {"name": "adamerging", "ties": 0.2}},
]
KEYS = {
    "task": {"name": "rotated", "angles": [0, 45]},
    "method": METHODS,
    "measures": "parts",
    "seeds": [0, 1, 2],
    "training": {"rounds": 2, "start": "pretrained"},
    "variants": [{"training": {"start": "different"}, "method": "wa"}],
}


def level(run):
    """What agents reach on the first task; on the second it is 0.1 less, and on their own 0.2 more."""
    name = getattr(getattr(run.method, "coefficients", None), "name", "none")
    return {"none": 0.3, "mixing": 0.4, "task_arithmetic": 0.5, "adamerging": 0.6}[name]


def of_tasks(run):
    for round in (0, 1, 2):
        for agent in range(2):
            for part in range(2):
                value = level(run) * (round == 2) - 0.1 * part + 0.2 * (part == agent) + OFFSETS[run.seed]
                yield round, "merged" if round else "start", agent, "", "part_accuracy", value, part
        if "AdaMerging" in run.method.label():
            for layer, total in {"": 1.5, "classifier.weight": 9.0}.items():
                yield round, "merged", "", layer, "coefficient_sum", total + 10 * (round < 2)


@pytest.fixture
def shown(tmp_path):
    study, layout = write_study(tmp_path, lambda *_: 0.5, of_tasks, **KEYS)
    (figure,) = (each for each in figures_of(study).values() if each.kind == "task-vectors")
    return figure, layout


def test_each_way_has_its_tasks_their_mean_and_the_sum_of_its_coefficients(shown):
    figure, layout = shown
    drawn = figure.draw(layout)
    as_file(drawn, "svg")
    assert not overlapping(drawn)
    pyplot.close(drawn)
    left, right = drawn.axes
    assert [label.get_text().replace("\n", " ") for label in left.get_yticklabels()] == [
        "no communication",
        "average",
        "task arithmetic 0.3",
        "AdaMerging, layer-wise, clamped, on test images (leaks)",
        "AdaMerging++, layer-wise, clamped, on own images",
        "average, trained apart",
    ]
    points = [line for line in left.lines if line.get_linestyle() == "None"]
    arithmetic = [line.get_xdata()[0] for line in points[8:12]]  # two tasks, their mean, agents' own
    assert arithmetic == pytest.approx([61, 51, 56, 66])
    totals = [line for line in right.lines if line.get_linestyle() == "None"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in totals] == [(1.5, 3), (1.5, 4)]


def test_what_is_said_is_what_was_measured(shown):
    figure, layout = shown
    told = figure.told(layout)
    assert "average 46.0 % [" in told and "task arithmetic 0.3 56.0 % [" in told
    assert (
        "Difference from task arithmetic 0.3: AdaMerging, layer-wise, clamped, on test images (leaks) "
        "+10.0 [+10.0, +10.0] (by task from +10.0 to +10.0; agents on their own tasks +10.0; "
        "coefficients sum to 1.50). Brackets are 95 % intervals over 3 seeds." in told
    )
    assert "Agents trained apart count from a network of their own each." in told


def test_a_study_without_task_vectors_has_no_such_figure(tmp_path):
    study, _ = write_study(
        tmp_path, lambda *_: 0.5, of_tasks, **KEYS | {"method": ["wa", "local"], "variants": []}
    )
    assert not [each for each in figures_of(study).values() if each.kind == "task-vectors"]
