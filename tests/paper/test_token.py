"""The figure of a token's way to the optimum: what it costs in bytes and in time, and what it says."""

import pytest
from matplotlib import pyplot
from support.made_up import write_study

from paper.figures import figures_of

MIB = 2.0**20
CODE = {"name": "cyclic", "nodes": 2}
ADMM = {"name": "coded_admm", "weight_decay": 0.1, "code": CODE}
KEYS = {
    "model": "linear",
    "method": [{"name": "dpsgd", "weight_decay": 0.1}, ADMM],
    "calibration": {"repair": "none"},
    "measures": "optimum",
    "links": {"bandwidth": 1.048576, "latency": 0.0, "step": 1000.0, "nodes": 2, "delay": 2000.0},
    "training": {"rounds": 3},
    "seeds": [0, 1],
}


def more(run):
    """A token halves the distance in each round; others lower it by a fifth and send four times as much."""
    walking = run.method.name == "coded_admm"
    for round in range(4):
        for agent in (0, 1):
            row = round, "merged" if round else "start", agent, ""
            yield *row, "distance_to_optimum", (0.5 if walking else 0.8) ** max(round - 1, 0)
            yield *row, "gradient_steps", 2.0 * max(round - 1, 0)
            if round > 1:
                yield (
                    *row,
                    "bytes_sent_token" if walking else "bytes_sent_models",
                    MIB * (round - 1) * (1 if walking else 4),
                )
                if walking:
                    yield *row, "waited", 0.5 * (round - 1)


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path, lambda *_: 0.5, more, **KEYS)


def test_distances_stand_over_bytes_and_over_time(study):
    study, layout = study
    figure = figures_of(study)["token-digits-linear-2"].draw(layout)
    pyplot.close(figure)
    sent, taken = figure.axes
    found = {
        (panel, line.get_label()): [pytest.approx(values) for values in line.get_data()]
        for name, panel in {"sent": sent, "taken": taken}.items()
        for panel, line in ((name, line) for line in panel.lines)
    }
    assert found == {
        ("sent", "D-PSGD"): [[4, 8], [0.8, 0.64]],
        ("sent", "sI-ADMM"): [[1, 2], [0.5, 0.25]],
        # Two steps, for both nodes of which an agent waits 2 (1 + 1/2) s on average, and 4 MiB at 1 MiB/s.
        ("taken", "D-PSGD"): [[12, 24], [0.8, 0.64]],
        # Of both agents one after the other: two steps, 0.5 x 2 s for nodes, and 1 MiB.
        ("taken", "sI-ADMM"): [[8, 16], [0.5, 0.25]],
    }


def test_it_says_what_each_reaches_with_as_much_as_the_most_frugal_has_paid(study):
    study, layout = study
    found = figures_of(study)["token-digits-linear-2"].finding(layout)
    assert found == (
        "With 2 MiB sent by an agent, the best with a token and without: sI-ADMM 0.25 [0.25, 0.25]; "
        "D-PSGD 0.894 [0.894, 0.894]. "  # the root of 0.8
        "With 16 simulated seconds, the best with a token and without: sI-ADMM 0.25 [0.25, 0.25]; "
        "D-PSGD 0.743 [0.743, 0.743]. "  # 0.8 to the power 4/3
        "With a token, after 16 s: sI-ADMM 0.25 [0.25, 0.25]. Brackets are 95 % intervals over 2 seeds."
    )


@pytest.mark.parametrize(
    "changes", [{"measures": []}, {"links": None}, {"method": {"name": "dpsgd", "weight_decay": 0.1}}]
)
def test_studies_without_a_token_times_or_an_optimum_do_not_have_it(tmp_path, changes):
    study, _ = write_study(tmp_path, lambda *_: 0.5, **KEYS | changes)
    assert not any(figure.kind == "token" for figure in figures_of(study).values())
