"""Costs and comparisons against small cases worked out by hand."""

import pandas
import pytest
from scipy import stats

from dimat.communication.links import Links
from dimat.experiment.config import parse_study
from dimat.experiment.records import Measurement, collect_records, write_records
from paper.comparison import advantage_table, comparison_table, costs_by_round, summaries
from paper.contents import Costs, figures_of, tables_of
from paper.data import in_every_setting, read_records
from paper.figures import draw_costs
from paper.intervals import interval, starred

STUDY = parse_study(
    {
        "name": "made-up",
        "data": "digits",
        "model": "plain",
        "partition": ["iid", "classes"],
        "graph": "ring",
        "agents": 2,
        "method": ["dimat", "dpsgd", "local"],
        "merge": {"images": "own"},
        "protocol": "fair",
        "seeds": [0, 1, 2],
    },
    "study",
)
GAIN = {"dimat": [0, 0, 0], "dpsgd": [16, 32, 48], "local": [-16, 16, 0]}
"""What is added to accuracies, in 1024ths, by seed: D-PSGD is better in every seed, local training is not."""


@pytest.fixture
def records(tmp_path):
    """Two agents, three rounds: each sends 1 MiB and 2 messages, and takes 5 steps, in a round."""
    paths = []
    for run in STUDY.runs.values():
        rows = []
        for round in range(4):
            for agent in range(run.agents):
                accuracy = (256 + 64 * round + 2 * agent + GAIN[run.method.name][run.seed]) / 1024
                stage = "merged" if round else "start"
                rows.append(Measurement(round, stage, agent, "", "test_accuracy", accuracy))
                rows.append(Measurement(round, stage, agent, "", "gradient_steps", 5.0 * max(round - 1, 0)))
                if round and run.method.name != "local":
                    for kind, share in (("models", 0.75), ("weights", 0.25)):
                        sent = round * share * 2**20 * (1 + agent)
                        rows.append(Measurement(round, stage, agent, "", f"bytes_sent_{kind}", sent))
                    rows.append(Measurement(round, stage, agent, "", "messages_sent", 2.0 * round))
        rows.append(Measurement(2, "trained", 0, "", "test_accuracy", 0.999))  # not right after a merge
        rows.append(Measurement(2, "merged", None, "", "disagreement", 1.0))
        paths.append(tmp_path / f"{run.id}.csv")
        write_records(paths[-1], run, "digits, made up", rows)
    collect_records(paths, tmp_path / "records.csv")
    return read_records(tmp_path / "records.csv")


def all_sums(records, links=None):
    return summaries(in_every_setting(costs_by_round(records, links), agents=2))


def test_costs_are_means_over_agents_and_sums_over_kinds(records):
    costs = costs_by_round(records, Links(bandwidth=1.048576, latency=100.0, step=1000.0))
    row = costs[(costs["method"] == "D-PSGD") & (costs["round"] == 3) & (costs.seed == 1)].iloc[0]
    assert row.accuracy == pytest.approx(100 * (256 + 192 + 1 + 32) / 1024)
    assert (row.steps, row.messages, row.mebibytes) == (10, 6, 4.5)
    assert row.simulated == pytest.approx(10 + 0.6 + 6.0)  # of the agent that sends 6 MiB
    silent = costs[(costs["method"] == "no communication") & (costs["round"] == 3)]
    assert set(silent.mebibytes) == {0}
    assert set(silent.steps) == {10}


def test_summaries_are_of_the_first_merge_the_first_round_all_and_the_last(records):
    row = all_sums(records).iloc[0]
    assert row["method"] == "DIMAT"
    base = 256 + 1
    expected = {"first merge": 64, "first round": 128, "area": 128, "final": 192}
    for name, gain in expected.items():
        assert row[name] == pytest.approx(100 * (base + gain) / 1024)


def test_differences_to_dimat_are_paired_and_starred(records):
    table = advantage_table(all_sums(records))
    assert len(table) == 4
    assert set(table.protocol) == {"fair"}
    assert set(table["minus"]) == {"DIMAT, own images"}
    names = table["method"]
    differences = [100 * gain / 1024 for gain in GAIN["dpsgd"]]
    row = table[(table.partition == "IID") & (names == "D-PSGD, own images")].iloc[0]
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    text = f"{sum(differences) / 3:+.1f} [{low:+.1f}, {high:+.1f}]"
    assert row["final"] == text + (" *" if low > 0 else "")
    assert not table[names == "no communication"]["final"].str.contains(r"\*").any()


def test_stars_mark_intervals_without_zero():
    assert starred(pandas.Series([1.0, 1.1, 0.9]).to_numpy()).endswith("] *")
    assert starred(pandas.Series([-1.0, -1.1, -0.9]).to_numpy()).endswith("] *")
    assert starred(pandas.Series([1.0, -1.1, 0.9]).to_numpy()) == interval(
        pandas.Series([1.0, -1.1, 0.9]).to_numpy()
    )


def test_the_comparison_names_rates_and_costs(records):
    sums = all_sums(records)
    about = {run: {"learning_rate": 0.01, "seconds": 2.0 + i} for i, run in enumerate(sums.run.unique())}
    table = comparison_table(sums, about)
    row = table[(table["method"] == "D-PSGD") & (table.partition == "IID")].iloc[0]
    assert row["rate"] == "0.01"
    assert row["steps"] == "10"
    assert row["MiB"] == "4.5"
    assert row["messages"] == "6"
    assert row["seeds"] == 3
    assert "simulated s" not in table


def test_a_study_with_rivals_has_figures_and_tables_of_costs(records):
    (name,) = (name for name, what in figures_of(STUDY).items() if isinstance(what, Costs))
    assert name == "costs-digits-plain-2-fair"
    assert {"comparison", "advantage"} <= set(tables_of(STUDY))
    own = parse_study(STUDY.model_dump(mode="json") | {"method": ["dimat", "wa", "local"]}, "study")
    assert not {"comparison", "advantage"} & set(tables_of(own))
    figure = draw_costs(costs_by_round(records), 2)
    assert len(figure.axes) == 4
    steps, sent = figure.axes[:2]
    assert len(steps.lines) == 3
    assert len(sent.lines) == 3
    assert sorted(len(line.get_xdata()) for line in sent.lines) == [0, 3, 3]
