"""What slices cost: a panel of bytes and one of operations, and what is said of both."""

import pytest
from matplotlib import pyplot
from support.made_up import write_study

from dimat.experiment.network_cost import cost_of, slice_operations
from paper.figures import figures_of

KEYS = {
    "method": ["ist", "wa", "local", "dpsgd"],
    "graph": "complete",
    "agents": 4,
    "training": {"rounds": 3, "batch_size": 10, "pretrain_epochs": 1, "steps": "equal"},
    "seeds": [0, 1, 2],
}
BEFORE, BETWEEN = 10, 20
"""Gradient steps before the first merge, and between two."""
END = {"ist": 0.5, "wa": 0.8, "local": 0.2, "dpsgd": 0.45}
IMAGES = 1437 / 4 / 36
"""In a step, on average."""


def reached(run, round, agent):
    return END[run.method.name] * round / 3 + 0.001 * run.seed * (round == 3)


def more(run):
    for round in range(4):
        for agent in range(4):
            row = round, "merged" if round else "start", agent, ""
            yield *row, "gradient_steps", BEFORE + BETWEEN * max(round - 1, 0)
            if run.method.communicates != "never" and round:
                yield *row, "bytes_sent_models", 2.0**18 * round * (1 if run.method.name == "ist" else 16)


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path, reached, more, **KEYS)


def of_study(study):
    (figure,) = (each for each in figures_of(study[0]).values() if each.kind == "work")
    return figure


def test_operations_are_those_of_slices_where_slices_are_trained(study):
    figure = of_study(study).draw(study[1])
    sent, worked = figure.axes[:2]
    pyplot.close(figure)
    model = next(iter(study[0].runs.values())).model
    whole, slices = cost_of(model, 1, 8).operations, slice_operations(model, 1, 8, 4)
    assert slices < whole / 10
    lines = {line.get_label(): line for line in worked.lines}
    for label, each in {"IST": slices, "WA": whole, "D-PSGD": whole, "no communication": whole}.items():
        expected = [3 * IMAGES * (BEFORE * whole + BETWEEN * merge * each) / 1e9 for merge in range(3)]
        assert list(lines[label].get_xdata()) == pytest.approx(expected)
    assert {line.get_label(): max(line.get_xdata()) for line in sent.lines} == {
        "IST": 0.75, "WA": 12, "D-PSGD": 12
    }  # fmt: skip


def test_the_finding_says_what_others_pay_to_be_as_good(study):
    found = of_study(study).finding(study[1])
    assert found.startswith("IST ends with 50.1 % [49.9, 50.3], first reached after merge 3 (0.75 MiB and ")
    wa = "WA ends with 80.1 % [79.9, 80.3] (difference -30.0 [-30.0, -30.0])"
    assert f"; {wa}, and first does as well as IST after merge 2 (8 MiB and " in found
    dpsgd = "D-PSGD ends with 45.1 % [44.9, 45.3] (difference +5.0 [+5.0, +5.0])"
    assert f"; {dpsgd}, and never does as well as IST" in found
    assert found.count("never does as well") == 2
    assert found.endswith("Brackets are 95 % intervals over 3 seeds.")


def test_it_is_of_studies_in_which_slices_are_trained(tmp_path):
    study = write_study(tmp_path, reached, more, **KEYS | {"method": ["wa", "dpsgd"]})
    assert not [each for each in figures_of(study[0]).values() if each.kind == "work"]
