"""Records, summaries and tables against small cases worked out by hand."""

import numpy
import pytest
from matplotlib import pyplot
from scipy import stats

from dimat.errors import InputError
from dimat.experiment.config import parse_study
from dimat.experiment.records import COLUMNS, Measurement, collect_records, write_records
from dimat.io.files import write_checked
from dimat.topology import DirectedRing, OnePeerExponential, Ring
from paper import style
from paper.audit import audit_summary
from paper.audit_figures import DRAWN
from paper.contents import Accuracy, Graphs, figures_of, tables_of
from paper.data import in_every_setting, matching_by_round, merged_accuracy, read_records
from paper.figures import draw_graphs, draw_matching
from paper.intervals import interval
from paper.tables import accuracy_table, difference_table, schedules_table
from theory.report import read_audit

STUDY = parse_study(
    {
        "name": "made-up",
        "data": "digits",
        "model": "plain",
        "partition": ["iid", "classes"],
        "graph": "ring",
        "method": ["dimat", "wa", "local", "pooled"],
        "seeds": [0, 1, 2],
    },
    "study",
)


def accuracy_of(run, agent, round):
    """A number that differs wherever something differs, and is exact in binary."""
    method = ["dimat", "wa", "local", "pooled"].index(run.method.name)
    return (16 * method + 4 * run.seed + 2 * round + agent) / 1024


@pytest.fixture
def records(tmp_path):
    """Records of all runs of the study, two agents and two rounds each, through their files."""
    paths = []
    for run in STUDY.runs.values():
        rows = [
            Measurement(
                round,
                "merged" if round else "start",
                agent,
                "",
                "test_accuracy",
                accuracy_of(run, agent, round),
            )
            for round in (0, 1)
            for agent in (0, 1)
        ]
        rows.append(Measurement(1, "trained", 0, "", "test_accuracy", 0.999))  # not right after a merge
        rows.append(Measurement(1, "merged", None, "", "disagreement", 0.1 + 0.2))
        paths.append(tmp_path / f"{run.id}.csv")
        write_records(paths[-1], run, "digits, made up", rows)
    collect_records(paths, tmp_path / "records.csv")
    return read_records(tmp_path / "records.csv")


def test_records_keep_every_digit(records):
    assert set(records[records.metric == "disagreement"].value) == {0.1 + 0.2}
    assert list(records.columns) == list(COLUMNS)


def test_collect_refuses_a_cut_off_file(tmp_path):
    run = next(iter(STUDY.runs.values()))
    write_records(tmp_path / "a.csv", run, "digits", [Measurement(0, "start", 0, "", "test_accuracy", 0.5)])
    (tmp_path / "a.csv").write_text((tmp_path / "a.csv").read_text()[:-20])
    with pytest.raises(InputError, match=r"a\.csv: damaged"):
        collect_records([tmp_path / "a.csv"], tmp_path / "all.csv")


def test_accuracy_is_the_mean_over_agents_right_after_the_merge(records):
    accuracy = merged_accuracy(records)
    for run in STUDY.runs.values():
        partition = run.partition.label() if run.partition else ""
        row = accuracy[
            (accuracy["method"] == run.method.title)
            & (accuracy.partition == partition)
            & (accuracy.seed == run.seed)
            & (accuracy["round"] == 1)
        ]
        assert row.accuracy.item() == 100 * (accuracy_of(run, 0, 1) + accuracy_of(run, 1, 1)) / 2


def test_methods_that_ignore_an_axis_appear_in_every_setting(records):
    full = in_every_setting(merged_accuracy(records), agents=5)
    counts = full[full["round"] == 1].groupby(["graph", "partition", "method"]).size()
    assert counts.to_dict() == {
        ("ring", partition, method): 3
        for partition in ("IID", "whole classes")
        for method in ("DIMAT", "WA", "no communication", "pooled training")
    }


def test_tables_hold_means_deviations_and_paired_differences(records):
    full = in_every_setting(merged_accuracy(records), agents=5)
    table = accuracy_table(full)
    cell = table[(table["method"] == "WA") & (table.partition == "IID")]["merge 1"].item()
    values = [100 * (16 + 4 * seed + 2 + 0.5) / 1024 for seed in (0, 1, 2)]
    assert cell == f"{numpy.mean(values):.1f} ± {numpy.std(values, ddof=1):.1f}"
    # DIMAT is 16/1024 below WA for every seed: the interval is a point
    assert set(difference_table(full)["merge 1"]) == {"-1.6 [-1.6, -1.6]"}


def test_matching_is_compared_with_averaging_of_the_same_optimizer(records):
    full = in_every_setting(merged_accuracy(records), agents=5)
    alike = full.assign(method=full.method + ", adam")
    assert set(difference_table(alike)["merge 1"]) == {"-1.6 [-1.6, -1.6]"}
    assert set(difference_table(alike)["options"]) == {"adam"}
    assert len(schedules_table(alike)) == len(schedules_table(full)) > 0
    other = full.assign(method=full.method.where(full.method != "WA", "WA, adam"))
    assert difference_table(other).empty
    assert schedules_table(other).empty


def test_interval_is_the_paired_t_interval():
    differences = numpy.array([1.0, 2.5, 4.0, 4.5])
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert interval(differences) == f"+3.0 [{low:+.1f}, {high:+.1f}]"


def test_each_figure_draws_its_own_runs():
    figures = figures_of(STUDY)
    runs = STUDY.runs
    (accuracy,) = (figure for figure in figures.values() if isinstance(figure, Accuracy))
    assert accuracy.runs == set(runs)
    assert set(figures) == {
        "accuracy-digits-plain-5",
        "matching-digits-plain-5",
        "partition-digits-iid-5",
        "partition-digits-classes-5",
        "graphs",
        *(f"audit-{shows}" for shows in DRAWN),
    }


def test_two_data_sets_of_one_kind_are_two_figures():
    two = [{"name": "digits"}, {"name": "digits", "size": 16}]
    study = parse_study(STUDY.model_dump(mode="json") | {"data": two, "variants": []}, "study")
    figures = [figure for figure in figures_of(study).values() if isinstance(figure, Accuracy)]
    assert len(figures) == 2 and not figures[0].runs & figures[1].runs


def test_figures_are_the_same_bytes_every_time():
    drawn = []
    for _ in range(2):
        figure, axes = pyplot.subplots()
        axes.plot([0, 1], [1, 0])
        drawn.append(style.as_svg(figure))
    assert drawn[0] == drawn[1]


def test_damaged_records_are_refused(tmp_path):
    (tmp_path / "records.csv").write_bytes(b"")
    with pytest.raises(InputError, match=r"records\.csv"):
        read_records(tmp_path / "records.csv")


ONCE, ALWAYS = "matched once", ""
RECORDED = {  # accuracy in percent after merges 1 and 2, for seeds 0, 1 and 2
    ("DIMAT", ALWAYS): {1: (50, 60, 70), 2: (60, 60, 60)},
    ("DIMAT", ONCE): {1: (48, 56, 64), 2: (70, 72, 74)},
    ("WA", ""): {1: (10, 20, 30), 2: (71, 71, 71)},
}


def schedules_study():
    merges = [{"images": "pooled"}, {"images": "pooled", "rematch": "first_meeting"}]
    return parse_study(
        {
            "name": "made-up", "data": "digits", "model": "plain", "partition": "iid", "graph": "ring",
            "method": ["dimat", "wa"], "merge": merges, "seeds": [0, 1, 2],
        },
        "study",
    )  # fmt: skip


@pytest.fixture
def schedule_records(tmp_path):
    paths = []
    for run in schedules_study().runs.values():
        by_round = RECORDED[run.method.title, run.merge.matching_label()]
        rows = [
            Measurement(round, "merged", 0, "", "test_accuracy", values[run.seed] / 100)
            for round, values in by_round.items()
        ]
        for layer, share in (("one", 0.25), ("two", 0.75)):
            rows += [Measurement(round, "merged", None, layer, "moved_share", share) for round in (1, 2)]
        rows.append(Measurement(1, "merged", None, "one", "objective_gain", 0.5))
        paths.append(tmp_path / f"{run.id}.csv")
        write_records(paths[-1], run, "digits, made up", rows)
    collect_records(paths, tmp_path / "records.csv")
    return read_records(tmp_path / "records.csv")


def test_schedules_are_compared_with_the_best_of_the_others(schedule_records):
    table = schedules_table(in_every_setting(merged_accuracy(schedule_records), agents=5))
    cells = {
        (row["method"], row["matching"]): (row["merge 1"], row["merge 2"]) for _, row in table.iterrows()
    }
    assert set(cells) == set(RECORDED)
    # At merge 1 matching always is best, by 2, 4 and 6 points over matching once, the second best.
    assert cells["DIMAT", ALWAYS][0] == interval(numpy.array([2.0, 4.0, 6.0]))
    assert cells["DIMAT", ONCE][0] == interval(numpy.array([-2.0, -4.0, -6.0]))
    assert cells["WA", ""][0] == interval(numpy.array([-40.0, -40.0, -40.0]))
    # At merge 2 it is matching once, over averaging.
    assert cells["DIMAT", ONCE][1] == interval(numpy.array([-1.0, 1.0, 3.0]))
    assert cells["WA", ""][1] == interval(numpy.array([1.0, -1.0, -3.0]))
    assert cells["DIMAT", ALWAYS][1] == interval(numpy.array([-10.0, -12.0, -14.0]))


def test_matchings_are_means_over_layers(schedule_records):
    rows = matching_by_round(schedule_records)
    assert set(rows["method"]) == {"DIMAT"}
    assert set(rows[rows.metric == "moved_share"].value) == {0.5}
    assert set(rows[rows.metric == "objective_gain"]["round"]) == {1}
    figure = draw_matching(schedule_records)
    moved, gain = figure.axes
    assert [len(panel.lines) for panel in (moved, gain)] == [2, 2]
    assert list(moved.lines[0].get_xdata()) == [1, 2]
    assert list(moved.lines[0].get_ydata()) == [0.5, 0.5]
    assert list(gain.lines[0].get_xdata()) == [1]
    pyplot.close(figure)


def test_a_study_of_one_matching_has_no_table_of_schedules():
    assert tables_of(STUDY) == ("accuracy", "difference")
    assert tables_of(schedules_study()) == ("accuracy", "difference", "schedules")


def test_graphs_are_drawn_with_their_directions_and_spectral_gaps():
    ring, directed, one_peer = (
        Ring(),
        DirectedRing(),
        OnePeerExponential(),
    )
    figure = draw_graphs(Graphs(((ring, 4), (directed, 4), (one_peer, 4))))
    panels = [panel for panel in figure.axes if panel.get_title()]
    assert [panel.get_title() for panel in panels] == [
        "ring, 4 agents\nspectral gap 0.667",
        "directed ring, 4 agents\nspectral gap 0.293",
        "one peer exponential, 4 agents\ntime-varying, spectral gap 1.000",
    ]
    assert [len(panel.patches) for panel in panels] == [0, 4, 8]  # arrows
    pyplot.close(figure)


AUDIT = """claim,statement,problem,graph,agents,step_size,steps,seeds,quantity,measured,low,high,bound,verdict
convergence,SGD,quadratic,ring,4,,,16,q,2,2,2,6,holds
convergence,SGD,quadratic,star,4,,,16,q,2,2,2,10,holds
spectrum,closed form,,ring,4,,,,q,0,0,0,1e-12,holds
"""


def test_the_audit_is_summarized_by_claim(tmp_path):
    write_checked(tmp_path / "audit.csv", AUDIT.encode())
    first, second = audit_summary(read_audit(tmp_path / "audit.csv")).to_dict("records")
    assert (first["graphs"], first["verdicts"], first["bound / measured"]) == (
        "ring, star",
        "2 holds",
        "3 to 5",
    )
    assert (second["verdicts"], second["bound / measured"]) == ("1 holds", "")


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", AUDIT.replace("bound", "bond").encode(), b"\xff\xfe"]
)
def test_a_damaged_audit_is_one_line(tmp_path, content):
    write_checked(tmp_path / "audit.csv", content)
    with pytest.raises(InputError, match=r"audit\.csv: damaged"):
        read_audit(tmp_path / "audit.csv")
