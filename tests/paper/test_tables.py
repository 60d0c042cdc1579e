"""Tables against small cases worked out by hand."""

import pandas
import pytest
from scipy import stats
from support.made_up import write_study

from dimat.experiment.links import Links
from dimat.io.files import write_checked
from dimat.tasks import Classification
from paper.intervals import paired, spread, starred
from paper.measured import costs, read_shown
from paper.tables import tables_of
from paper.tables.final import FinalTable

STEPS, MIB = 5.0, 2**20
ACCURACY = Classification().metric


def cells(table, **where):
    """The only row of a table in some setting."""
    for name, value in where.items():
        table = table[table[name] == value]
    (row,) = table.to_dict("records")
    return row


@pytest.fixture
def progress(tmp_path):
    """A number that differs wherever something differs, and is exact in binary."""
    places = {"dimat": 0, "wa": 16, "local": 32, "pooled": 48}

    def reached(run, round, agent):
        return (places[run.method.name] + 4 * run.seed + 2 * min(round, 1) + agent) / 1024

    return write_study(
        tmp_path,
        reached,
        method=list(places),
        partition=["iid", "classes"],
        training={"rounds": 2},
        seeds=[0, 1, 2],
    )


def test_cells_are_means_over_agents_right_after_merges(progress):
    study, layout = progress
    table = tables_of(study)["progress"].rows(layout)
    assert list(table)[-4:] == ["seeds", "merge 0", "merge 1", "merge 2"]
    row = cells(table, method="WA", partition="IID")
    values = pandas.Series([100 * (16 + 4 * seed + 2 + 0.5) / 1024 for seed in (0, 1, 2)])
    assert row["merge 1"] == f"{values.mean():.1f} ± {values.std(ddof=1):.1f}" == spread(values, ACCURACY)
    assert (row["metric"], row["seeds"]) == ("test accuracy [%]", 3)


def test_methods_that_ignore_an_axis_are_in_every_setting(progress):
    study, layout = progress
    table = tables_of(study)["progress"].rows(layout)
    assert table.groupby(["graph", "partition"])["method"].apply(set).to_dict() == {
        ("ring", partition): {"DIMAT", "WA", "no communication", "pooled training"}
        for partition in ("IID", "whole classes")
    }


def test_dimat_is_compared_with_averaging_of_the_same_seed(progress):
    study, layout = progress
    table = tables_of(study)["difference"].rows(layout)
    # DIMAT is 16/1024 below WA for every seed: the interval is a point
    assert set(table["merge 1"]) == {"-1.6 [-1.6, -1.6]"}
    assert set(table["minus"]) == {"WA"} and set(table["metric"]) == {"points of test accuracy"}


def test_what_differs_in_more_than_matching_is_no_pair(tmp_path):
    other = {"name": "wa", "optimizer": {"name": "sgd", "learning_rate": 0.1}}
    study, _ = write_study(tmp_path, lambda *_: 0.5, method=["dimat", other])
    assert "difference" not in tables_of(study)
    methods = ["dimat", other | {"name": "dimat"}, other]
    study, layout = write_study(tmp_path, lambda *_: 0.5, method=methods)
    assert len(tables_of(study)["difference"].rows(layout)) == 1


def test_intervals_are_those_of_paired_t_tests():
    differences = pandas.Series([1.0, 2.5, 4.0, 4.5])
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert paired(differences, ACCURACY) == f"+3.0 [{low:+.1f}, {high:+.1f}]"
    assert starred(pandas.Series([1.0, 1.1, 0.9]), ACCURACY).endswith("] *")
    assert starred(pandas.Series([-1.0, -1.1, -0.9]), ACCURACY).endswith("] *")
    assert not starred(pandas.Series([1.0, -1.1, 0.9]), ACCURACY).endswith("*")
    assert starred(pandas.Series([1.0]), ACCURACY) == "+1.0"


def test_scores_that_are_no_percentages_are_told_in_three_digits(tmp_path):
    reached = lambda run, *_: 0.9375 + run.seed / 64 + (run.method.name == "dimat") / 128  # noqa: E731
    study, layout = write_study(
        tmp_path,
        reached,
        data={"name": "digits", "two_classes": {"positive": [1, 2], "share": 0.1}},
        task="auc",
        method=["dimat", "wa"],
        seeds=[0, 1],
    )
    tables = tables_of(study)
    deviation = pandas.Series([0.0, 1 / 64]).std(ddof=1)
    row = cells(tables["progress"].rows(layout), method="WA")
    assert row["merge 1"] == f"0.945 ± {deviation:.3g}" and row["metric"] == "test AUROC"
    assert cells(tables["difference"].rows(layout))["merge 1"] == "+0.00781 [+0.00781, +0.00781]"
    final = cells(FinalTable(study).rows(layout), method="WA")
    assert final["final"] == row["merge 1"] and final["seeds"] == "2"


def test_schedules_are_compared_with_the_best_of_the_others(tmp_path):
    percent = {  # after merges 1 and 2, for seeds 0, 1 and 2
        "always": {1: (50, 60, 70), 2: (60, 60, 60)},
        "once": {1: (48, 56, 64), 2: (70, 72, 74)},
        "never": {1: (10, 20, 30), 2: (71, 71, 71)},
    }

    def reached(run, round, agent):
        way = (
            {"first_meeting": "once", "every_round": "always"}[run.matching.rematch.name]
            if run.matching
            else "never"
        )
        return percent[way][max(round, 1)][run.seed] / 100

    study, layout = write_study(
        tmp_path, reached, method=["dimat", "wa"], matching=[{}, {"rematch": "first_meeting"}],
        training={"rounds": 2}, seeds=[0, 1, 2],
    )  # fmt: skip
    table = tables_of(study)["schedules"].rows(layout)
    found = {row["method"]: (row["merge 1"], row["merge 2"]) for row in table.to_dict("records")}

    def differences(*values):
        return paired(pandas.Series([float(value) for value in values]), ACCURACY)

    assert found == {
        "DIMAT, matched every round": (differences(2, 4, 6), differences(-10, -12, -14)),
        "DIMAT, matched once": (differences(-2, -4, -6), differences(-1, 1, 3)),
        "WA": (differences(-40, -40, -40), differences(1, -1, -3)),
    }


GAIN = {"dimat": [0, 0, 0], "dpsgd": [16, 32, 48], "local": [-16, 16, 0]}
"""What is added, in 1024ths, by seed: D-PSGD is better in every seed, local training is not."""


@pytest.fixture
def rivals(tmp_path):
    """Two agents, three rounds: they send 1 and 2 MiB and 2 messages, and take 5 steps, in a round."""

    def more(run):
        for round in range(4):
            for agent in (0, 1):
                row = round, "merged" if round else "start", agent, ""
                yield *row, "gradient_steps", STEPS * max(round - 1, 0)
                if round and run.method.name != "local":
                    yield *row, "bytes_sent_models", 0.75 * round * MIB * (1 + agent)
                    yield *row, "bytes_sent_weights", 0.25 * round * MIB * (1 + agent)
                    yield *row, "messages_sent", 2.0 * round

    def reached(run, round, agent):
        return (256 + 64 * round + 2 * agent + GAIN[run.method.name][run.seed]) / 1024

    study, layout = write_study(
        tmp_path, reached, more, method=list(GAIN), training={"rounds": 3}, seeds=[0, 1, 2], protocol="fair"
    )
    return study, layout


def test_costs_are_means_over_agents_and_sums_over_kinds(rivals):
    study, layout = rivals
    _, records = read_shown(layout, study.runs)
    found = costs(records, Links(bandwidth=1.048576, latency=100.0, step=1000.0))
    by_method = {run.method.name: id for id, run in study.runs.items()}
    # of the agent that sends 6 MiB
    assert list(found.loc[by_method["dpsgd"], 3]) == pytest.approx([10, 6, 4.5, 10 + 0.6 + 6])
    assert list(found.loc[by_method["local"], 3]) == pytest.approx([10, 0, 0, 10])


def test_the_comparison_has_summaries_rates_and_costs(rivals):
    study, layout = rivals
    row = cells(tables_of(study)["comparison"].rows(layout), method="DIMAT")
    for name, gain in {"first merge": 64, "first round": 128, "area": 128, "final": 192}.items():
        assert row[name] == f"{100 * (257 + gain) / 1024:.1f} ± 0.0"
    assert (row["rate"], row["steps"], row["MiB"], row["messages"]) == ("0.001", "10", "4.5", "6")
    assert (row["seeds"], row["protocol"]) == (3, "fair")
    assert not {"simulated s", "seconds"} & row.keys()


def test_advantages_are_paired_and_starred(rivals):
    study, layout = rivals
    table = tables_of(study)["advantage"].rows(layout)
    assert len(table) == 2 and set(table["minus"]) == {"DIMAT"}
    differences = pandas.Series([100 * gain / 1024 for gain in GAIN["dpsgd"]])
    assert cells(table, method="D-PSGD")["final"] == starred(differences, ACCURACY)
    assert "*" not in cells(table, method="no communication")["final"]


def test_only_studies_with_rivals_have_tables_of_them(progress, rivals):
    assert list(tables_of(progress[0])) == ["progress", "difference", "audit", "claims"]
    assert list(tables_of(rivals[0])) == ["progress", "comparison", "advantage", "audit", "claims"]


AUDIT = """check,statement,problem,graph,agents,step_size,steps,seeds,quantity,measured,low,high,bound,verdict
convergence.sgd,SGD,quadratic,ring,4,,,16,q,2,2,2,6,holds
convergence.sgd,SGD,quadratic,star,4,,,16,q,2,2,2,10,holds
spectrum,closed form,,ring,4,,,,q,0,0,0,1e-12,holds
"""


RUN = "quadratic,ring,4,0.1,100,16,q,1,1,1"
SHARPER = f"""{AUDIT.splitlines()[0]}
convergence.gossip,classical,{RUN},6,holds
convergence.sharper_gossip,sharper,{RUN},2,holds
convergence.gossip,classical,{RUN.replace("ring", "star")},8,holds
convergence.sharper_gossip,sharper,{RUN.replace("ring", "star")},8,holds
convergence.sharper_gossip,sharper,{RUN.replace("100", "200")},1,holds
convergence.gossip,control: a,{RUN.replace("0.1", "0.3")},4,rejected
convergence.sharper_gossip,control: b,{RUN.replace("0.1", "0.3")},1,rejected
"""


def test_sharper_bounds_are_held_against_the_classical_ones_of_the_same_run(progress):
    study, layout = progress
    write_checked(layout.audit, SHARPER.encode())
    rows = tables_of(study)["audit"].rows(layout).set_index("statement")["times smaller"]
    assert dict(rows) == {"classical": "", "sharper": "2 (1 to 3)", "control: a": "", "control: b": ""}


def test_the_audit_is_summarized_by_check(progress):
    study, layout = progress
    write_checked(layout.audit, AUDIT.encode())
    first, second = tables_of(study)["audit"].rows(layout).to_dict("records")
    assert (first["graphs"], first["verdicts"]) == ("ring, star", "2 holds")
    assert first["bound / measured"] == "3 to 5"
    assert (second["verdicts"], second["bound / measured"]) == ("1 holds", "")
