"""Figures of the published catalogue: what they show and say, from records whose numbers are known."""

import math
import re

import numpy
import pandas
import pytest
from matplotlib import pyplot
from scipy import stats
from support.labels import overlapping
from support.made_up import MODEL, write_start, write_study

from dimat.io.files import nbytes_in
from dimat.tasks import Classification
from paper.figures import figures_of
from paper.figures.communication import authors_formula
from paper.findings import apart, over_seeds, reached
from paper.intervals import half_width, half_widths
from paper.panels import START, FewTicks
from paper.style import as_file
from paper.tables import tables_of

PAIR = {"method": ["dimat", "wa"], "seeds": [0, 1, 2], "training": {"rounds": 3, "epochs": 2}}
OFFSETS = {0: -0.02, 1: 0.0, 2: 0.05}
"""Of each seed; their mean is 0.01."""


def reaches(run, round, agent):
    """DIMAT: 0.3, 0.5, 0.6, 0.7; averaging 0.2 less after the first merge, and the same in the end."""
    value = [0.3, 0.5, 0.6, 0.7][round] + OFFSETS[run.seed] + 0.002 * agent
    return value - 0.2 * (run.method.name == "wa" and round == 1)


def drawn(study, kind):
    """The panels of the only figure of a kind, and its whole caption."""
    study, layout = study
    (each,) = (each for each in figures_of(study).values() if each.kind == kind)
    figure = each.draw(layout)
    as_file(figure, "svg")
    assert not overlapping(figure)
    pyplot.close(figure)
    return figure.axes, each.told(layout)


def test_intervals_are_those_of_student():
    values = numpy.array([1.0, 2.0, 4.0])
    low, high = stats.t.interval(0.95, 2, loc=values.mean(), scale=stats.sem(values))
    assert half_width(values) == pytest.approx((high - low) / 2, rel=1e-12)
    assert numpy.isnan(half_widths([0.0, 1.0], [1, 2])).tolist() == [True, False]


def test_bands_are_intervals_over_seeds_and_the_dashed_level_is_the_mean_start(tmp_path):
    (panel,), told = drawn(write_study(tmp_path, reaches, **PAIR), "progress")
    dimat, averaging, start = panel.lines
    assert list(dimat.get_ydata()) == pytest.approx([31.1, 51.1, 61.1, 71.1])
    assert list(averaging.get_ydata()) == pytest.approx([31.1, 31.1, 61.1, 71.1])
    assert start.get_label() == START["label"] and start.get_linestyle() == "--"
    assert list(start.get_ydata()) == pytest.approx([31.1, 31.1])
    half = stats.t.ppf(0.975, 2) * numpy.std([-2, 0, 5], ddof=1) / math.sqrt(3)
    corners = panel.collections[0].get_paths()[0].vertices[:, 1]
    assert [corners.min(), corners.max()] == pytest.approx([31.1 - half, 71.1 + half])
    low, high = 51.1 - half, 51.1 + half
    assert f"DIMAT against WA: after the first merge 51.1 % [{low:.1f}, {high:.1f}] against 31.1 %" in told
    assert "(difference +20.0 [+20.0, +20.0]); after merge 3" in told
    assert "bands their 95 % t-intervals (n = 3 seeds)" in told
    assert "(difference +0.0 [+0.0, +0.0]). Brackets are 95 % intervals over 3 seeds. " in told
    assert told.endswith("This comparison is primary for final-gain and initial-gain.")


def test_one_seed_has_no_interval(tmp_path):
    (panel,), told = drawn(write_study(tmp_path, reaches, **PAIR | {"seeds": 1}), "progress")
    assert not panel.collections
    assert "[" not in told and "One seed, so no intervals." in told


def test_starts_that_differ_have_each_a_level(tmp_path):
    short = {"training": {"rounds": 3, "pretrain_epochs": 1}}
    study = write_study(tmp_path, reaches, **PAIR | {"variants": [short]})
    (panel,), _ = drawn(study, "progress")
    assert sum(line.get_label() == START["label"] for line in panel.lines) == 2


def test_several_settings_are_counted(tmp_path):
    keys = PAIR | {"graph": ["ring", "complete"], "partition": ["iid", "classes"], "agents": 4}

    def varied(run, round, agent):
        noise = 0.1 * (run.seed - 0.9) * (run.graph.name == "complete") * (run.method.name == "wa")
        return reaches(run, round, agent) + noise - 0.01 * (run.method.name == "dimat" and round == 3)

    _, told = drawn(write_study(tmp_path, varied, **keys), "progress")
    assert "DIMAT against WA in 4 settings: after the first merge better in 2 and worse in 0, " in told
    assert "after the last better in 0 and worse in 2 (where the interval of the difference leaves" in told
    assert "Where they differ most (ring, IID): after the first merge 51.3 %" in told
    assert "over 3 seeds; those of differences are corrected for 4 settings (Holm). This comparison" in told


def test_chance_is_counted_once_for_all_settings(tmp_path):
    """A gain of 3 +- 2.5 points in one of four settings: by itself beyond its interval, in four not."""
    gains = {"ring": (0.02, 0.03, 0.04), "complete": (0.03, -0.03, 0.0)}
    keys = PAIR | {"graph": ["ring", "complete"], "partition": ["iid", "classes"], "agents": 4}

    def reached(run, round, agent):
        gain = gains[run.graph.name if run.partition.name == "iid" else "complete"][run.seed]
        return 0.5 + gain * (run.method.name == "dimat") * (round > 0)

    _, told = drawn(write_study(tmp_path, reached, **keys), "progress")
    assert "after the first merge better in 0 and worse in 0, after the last better in 0" in told
    half = stats.t.ppf(1 - 0.05 / 4 / 2, 2) / math.sqrt(3)
    assert f"(difference +3.0 [{3 - half:+.1f}, {3 + half:+.1f}])" in told
    keys |= {"graph": "ring", "partition": "iid", "calibration": {"repair": "none"}}
    _, alone = drawn(write_study(tmp_path / "alone", reached, **keys), "progress")
    half = stats.t.ppf(0.975, 2) / math.sqrt(3)
    assert f"(difference +3.0 [{3 - half:+.1f}, {3 + half:+.1f}])" in alone
    assert alone.endswith("This comparison is secondary.")


def test_without_a_rival_a_line_is_spoken_of_alone(tmp_path):
    keys = PAIR | {"method": "wa", "partition": ["iid", "classes"], "seeds": 0}
    worse = lambda run, round, agent: reaches(run, round, agent) - 0.1 * (run.partition.name == "classes")  # noqa: E731
    _, told = drawn(write_study(tmp_path, worse, **keys), "progress")
    assert "From the worst to the best of 2 settings: WA in ring, whole classes: 18.1 % before" in told


def losses(run, factor=1.0):
    for round in range(run.training.rounds + 1):
        for agent in range(run.agents):
            value = factor * 10.0 ** -(round + (run.method.name == "dimat")) * (1 + 0.1 * run.seed)
            yield round, "merged" if round else "start", agent, "", "training_loss", value


def test_training_loss_is_better_where_it_is_lower(tmp_path):
    study = write_study(tmp_path, reaches, losses, **PAIR, measures="training_loss")
    (panel,), told = drawn(study, "training-loss")
    assert panel.get_yscale() == "log" and panel.get_ylabel() == "training loss"
    assert list(panel.lines[0].get_ydata()) == pytest.approx([0.11, 0.011, 0.0011, 0.00011])
    assert "DIMAT against WA: after the first merge 0.011 [0.00852, 0.0135] against 0.11 [" in told
    assert "This comparison" not in told  # claims are in the metric of the task
    settings = PAIR | {"partition": ["iid", "classes"], "measures": "training_loss"}
    _, told = drawn(write_study(tmp_path, reaches, losses, **settings), "training-loss")
    assert "after the first merge better in 2 and worse in 0, after the last better in 2" in told


@pytest.mark.filterwarnings("error")
def test_losses_of_zero_are_drawn(tmp_path):
    nothing = lambda run: losses(run, 0.0)  # noqa: E731
    drawn(write_study(tmp_path, reaches, nothing, **PAIR, measures="training_loss"), "training-loss")


def wholes(run):
    for round in range(run.training.rounds + 1):
        row = round, "merged" if round else "start", "", ""
        yield *row, "mean_model_test_accuracy", 0.1 if round == 0 else 0.8
        yield *row, "mean_model_test_loss", 2.0


def test_the_mean_network_stands_beside_the_agents(tmp_path):
    study = write_study(tmp_path, reaches, wholes, **PAIR, measures="mean_model")
    (own, whole, gain), told = drawn(study, "mean-model")
    assert [panel.get_title() for panel in (own, whole)] == ["mean of the agents", "mean network"]
    for places in (0, 1):
        values = [list(panel.lines[places].get_ydata()) for panel in (own, whole, gain)]
        assert values[1] == pytest.approx([10, 80, 80, 80])
        assert values[2] == pytest.approx(numpy.subtract(values[1], values[0]))
    assert (
        "The mean of all networks of DIMAT against the agents themselves: before the first merge 10.0 %"
        in told
    )
    assert "after merge 3 80.0 % [80.0, 80.0] against 71.1 %" in told


def of_parts(run):
    for round in {0, 1, run.training.rounds}:
        for agent in range(run.agents):
            for part in range(run.agents):
                value = 0.9 if part == agent else 0.1 * (round + 1) + 0.01 * part
                row = round, "merged" if round else "start", agent, ""
                yield *row, "part_accuracy", value + OFFSETS[run.seed], part


@pytest.mark.parametrize(("agents", "numbers"), [(3, 9), (10, 100), (21, 0)])
def test_parts_are_matrices_of_agents_and_parts(tmp_path, agents, numbers):
    keys = PAIR | {"method": "wa", "agents": agents, "measures": "parts"}
    panels, told = drawn(write_study(tmp_path, reaches, of_parts, **keys), "parts")
    titles = [panel.get_title() for panel in panels if panel.get_title()]
    assert titles == ["before the first merge", "after the first merge", "after merge 3"]
    assert [len(panel.texts) for panel in panels[:3]] == [numbers] * 3
    values = panels[1].collections[0].get_array().reshape(agents, agents)
    expected = numpy.full((agents, agents), 20.0) + numpy.arange(agents)
    numpy.fill_diagonal(expected, 90.0)
    assert numpy.asarray(values) == pytest.approx(expected + 1)  # the mean offset of seeds
    if agents == 3:
        assert [text.get_text() for text in panels[1].texts[:3]] == ["91.0", "22.0", "23.0"]
    assert "after the first merge 91.0 % [82.0, 100.0] on agents' own parts against" in told


def test_methods_and_settings_have_each_their_parts(tmp_path):
    keys = PAIR | {
        "partition": ["iid", "classes"],
        "measures": "parts",
        "calibration": [{}, {"images": "own"}],
    }
    study, _ = write_study(tmp_path, reaches, of_parts, **keys)
    parts = [each for each in figures_of(study).values() if each.kind == "parts"]
    assert len(parts) == 8 and {id for each in parts for id in each.runs} == set(study.runs)


def sent(run):
    """As many bytes as methods really send: networks at merges, or at each of 7 steps of an epoch."""
    links = {"ring": 2, "complete": run.agents - 1}[run.graph.name]
    for round in range(1, run.training.rounds + 1):
        times = round if run.method.communicates == "round" else 7 * run.training.epochs * (round - 1)
        for agent in range(run.agents):
            yield round, "merged", agent, "", "bytes_sent_models", MODEL * links * times


def test_communication_is_counted_beside_the_formula(tmp_path):
    keys = {"method": ["dimat", "wa", "cdsgd", "dpsgd"], "agents": [5, 10], "graph": ["ring", "complete"]}
    keys |= {"training": {"rounds": 4, "epochs": 2}, "seeds": [0, 1], "calibration": [{}, {"images": "own"}]}
    study, layout = write_study(tmp_path, lambda *_: 0.5, sent, **keys)
    for id in study.pretrained:
        write_start(layout.pretrained(id))
    panels, told = drawn((study, layout), "communication")
    assert [panel.get_title() for panel in panels] == ["ring, IID", "complete, IID"]
    assert [text.get_text() for text in panels[0].get_yticklabels()] == ["DIMAT", "WA", "CDSGD", "D-PSGD"]
    widths = {}
    for panel in panels:
        for bar in panel.patches:
            kind = "formula" if bar.get_hatch() else "counted"
            widths.setdefault((panel.get_title().partition(",")[0], kind), []).append(
                round(bar.get_width(), 9)
            )
    assert sorted(widths["ring", "counted"]) == [1] * 4 + [14] * 4
    assert sorted(widths["ring", "formula"]) == [1] * 4 + [200] * 2
    assert sorted(widths["complete", "counted"]) == [2, 2, 4.5, 4.5, 28, 28, 63, 63]
    assert sorted(widths["complete", "formula"]) == [2, 2, 4.5, 4.5, 400, 900]
    assert "within 1 %, for 8 of 12 bars; they differ most for CDSGD on ring of 5 agents, 14 models" in told
    assert "sends at most 63 (CDSGD, complete of 10 agents) and at least 1 (DIMAT, ring of 5)" in told


def test_partitions_in_which_steps_differ_are_panels_of_their_own(tmp_path):
    def unequal(run):
        for *row, value in sent(run):
            more = 1 + (run.partition.name == "classes" and run.method.communicates == "step")
            yield *row, value * more

    keys = {"method": ["wa", "cdsgd"], "partition": ["iid", "classes"], "training": {"rounds": 2}}
    study, layout = write_study(tmp_path, lambda *_: 0.5, unequal, **keys)
    for id in study.pretrained:
        write_start(layout.pretrained(id))
    panels, _ = drawn((study, layout), "communication")
    assert [panel.get_title() for panel in panels] == ["ring, IID", "ring, whole classes"]


@pytest.mark.parametrize(
    ("method", "graph", "agents", "expected"),
    [
        *(("dimat", "complete", 20, 19 / 2), ("wa", "ring", 20, 1.0)),
        *(("sgp", "complete", 10, 900.0), ("cdsgd", "ring", 5, 200.0)),
        *(("dpsgd", "ring", 5, None), ("dimat", "star", 5, None)),
    ],
)
def test_the_formula_is_the_authors(tmp_path, method, graph, agents, expected):
    keys = {"method": method, "graph": graph, "agents": agents, "training": {"epochs": 2}}
    study, _ = write_study(tmp_path, lambda *_: 0.5, seeds=0, **keys)
    assert authors_formula(*study.runs.values()) == expected


def test_bytes_of_a_network_are_read_from_its_start(tmp_path):
    write_start(tmp_path / "start.safetensors")
    assert nbytes_in(tmp_path / "start.safetensors", "0/network/") == MODEL


def test_pairs_are_found_whatever_is_recorded_of_them(tmp_path):
    measured = [{"method": "dimat", "measures": "training_loss"}]
    study, layout = write_study(tmp_path, reaches, losses, **PAIR | {"method": "wa", "variants": measured})
    assert len(tables_of(study)["difference"].rows(layout)) == 1
    _, told = drawn((study, layout), "progress")
    assert "DIMAT against WA: after the first merge" in told


@pytest.mark.parametrize(
    ("low", "high"), [(1e-6, 1e6), (1e-3, 10), (0.02, 3), (0.9, 4.5), (3.1, 3.4), (0.5, 2e4), (1e-300, 1e300)]
)
def test_logarithmic_axes_have_few_ticks(low, high):
    ticks = numpy.array(FewTicks().tick_values(low, high))
    inside = ticks[(low <= ticks) & (ticks <= high)]
    assert 2 <= len(inside) <= 6 and (numpy.diff(ticks) > 0).all()


def test_numbers_have_the_digits_that_they_need():
    study_metric = Classification.metric
    other = study_metric._replace(unit="dB", title="it")
    values = pandas.Series([1.0, 2.0])
    assert re.fullmatch(r"1\.5 % \[-4\.9, 7\.9\]", reached(values, study_metric))
    assert reached(values / 1e4, other) == "0.00015 dB [-0.000485, 0.000785]"
    assert apart(values[:1], other) == "+1"
    assert over_seeds([1, 1]) == "One seed, so no intervals."
    assert over_seeds([1, 3]) == "Brackets are 95 % intervals over 1 to 3 seeds."
