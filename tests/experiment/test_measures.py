"""The key `measures`: what it adds to records, when, and that it changes nothing else."""

import csv
import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.jobs import only_run, only_start, open_runner
from support.quadratics import Quadratics
from support.small import SMALL

from dimat.communication.in_process import InProcess
from dimat.errors import InputError
from dimat.experiment.collect import collect
from dimat.experiment.mean_model import mean_model_scores
from dimat.experiment.measure import measure
from dimat.experiment.measures import due
from dimat.experiment.reading import parse_study
from dimat.experiment.records import read_records, read_runs
from dimat.merging.averaging.average import weighted_average
from dimat.merging.averaging.merged import with_state
from dimat.merging.calibration.options import Calibration
from dimat.merging.calibration.recalibration import recalibrate
from dimat.topology import Ring

ALL = ["training_loss", "parts", "mean_model"]
ROUNDS = SMALL["training"]["rounds"]
AGENTS = SMALL["agents"]


def trained(content, folder):
    """The runner of a small study whose only run is trained."""
    runner = open_runner(content, folder)
    runner.pretrain(only_start(runner))
    runner.train(only_run(runner))
    return runner


def rows_of(runner):
    """The rows of the only run, without its id."""
    path = runner.layout.run(only_run(runner).id)
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    return [{key: value for key, value in row.items() if key != "run"} for row in rows]


def of_metric(rows, start):
    return [row for row in rows if row["metric"].startswith(start)]


def stages(rows):
    return list(dict.fromkeys((int(row["round"]), row["stage"]) for row in rows))


MERGED = [(0, "start"), *((round, "merged") for round in range(1, ROUNDS + 1))]


@pytest.mark.parametrize("changes", [{}, {"method": "dpsgd"}, {"method": "local", "partition": "classes"}])
def test_they_add_their_rows_and_change_no_other(small, tmp_path, changes):
    plain = rows_of(trained(small | changes, tmp_path / "plain"))
    assert list(plain[0]) == ["round", "stage", "agent", "layer", "metric", "value"]
    rows = rows_of(trained(small | changes | {"measures": ALL}, tmp_path / "measured"))
    added = [row for row in rows if row["metric"].startswith(("training_loss", "part_", "mean_model_"))]
    others = [row for row in rows if row not in added]
    assert [{key: row[key] for key in plain[0]} for row in others] == plain
    assert {row["part"] for row in others} == {""}

    losses, parts = of_metric(added, "training_loss"), of_metric(added, "part_accuracy")
    assert stages(losses) == MERGED and len(losses) == AGENTS * len(MERGED)
    assert stages(parts) == [MERGED[0], MERGED[1], MERGED[-1]]
    pairs = [(row["agent"], row["part"]) for row in parts if row["stage"] == "start"]
    assert pairs == [(str(agent), str(part)) for agent in range(AGENTS) for part in range(AGENTS)]
    means = of_metric(added, "mean_model_")
    assert {row["metric"] for row in means} == {"mean_model_test_accuracy", "mean_model_test_loss"}
    assert stages(means) == MERGED and {row["agent"] for row in means} == {""}
    assert len(added) == len(losses) + len(parts) + len(means) == len(losses) + 27 + 2 * len(MERGED)
    assert {row["layer"] for row in added} == {""}
    assert all(0 <= float(row["value"]) <= 1 for row in parts)


@pytest.mark.parametrize("measures", [["training_loss"], ["mean_model"], ["mean_model", "parts"]])
def test_each_alone_gives_what_it_gives_with_the_others(small, tmp_path, measures):
    everything = rows_of(trained(small | {"measures": ALL}, tmp_path / "all"))
    rows = rows_of(trained(small | {"measures": measures}, tmp_path / "some"))
    columns = list(rows[0])
    assert ("part" in columns) == ("parts" in measures)
    absent = {"training_loss": "training_loss", "parts": "part_", "mean_model": "mean_model_"}
    left_out = tuple(start for measure, start in absent.items() if measure not in measures)
    kept = [row for row in everything if not row["metric"].startswith(left_out)]
    assert rows == [{key: row[key] for key in columns} for row in kept]


@given(st.sets(st.sampled_from(ALL)), st.integers(1, 6))
def test_when_they_are_due(measures, last):
    taken = [(each, round) for round in range(last + 1) for each in due(measures, round, "merged", last)]
    for asked in measures:
        rounds = [round for each, round in taken if each == asked]
        assert rounds == (sorted({0, 1, last}) if asked == "parts" else list(range(last + 1)))
    assert not any(due(measures, round, "trained", last) for round in range(last + 1))


# The mean of all networks.


def scores(agents, calibration=None, round=1):
    return mean_model_scores(agents, InProcess(Ring().mixing_matrix(agents.agents)), calibration, round)


@pytest.mark.parametrize("repair", ["none", "recalibrate", "repair", "rescale", "least_squares"])
def test_the_mean_of_equal_networks_is_each(make_agents, repair):
    """After one common recalibration, where there is one: each alone, as the only one there is."""
    agents = make_agents(agents=3, start="same")
    calibration = Calibration(repair=repair)
    if repair != "none":
        for model in agents.models:
            recalibrate(model, agents.task.inputs(range(3), None, False, agents.randomness.torch("x"))())
    found = scores(agents, calibration)
    for row in range(3):
        assert found == pytest.approx(agents.evaluate(row), rel=1e-4)


def test_the_mean_is_of_parameters_and_is_recalibrated_on_all_images(make_agents):
    agents = make_agents(agents=3)
    agents.train(1)
    before = {name: tensor.clone() for name, tensor in agents.tensors(optimizers=False).items()}
    mean = with_state(agents.models[0], weighted_average(agents.states(), [1 / 3] * 3))
    averaged = agents.task.evaluate(0, mean)
    assert scores(agents) == scores(agents, Calibration(repair="none", images="own")) == averaged
    recalibrate(mean, agents.task.inputs(range(3), None, False, agents.randomness.torch("x"))())
    expected = agents.task.evaluate(0, mean)
    assert expected["test_loss"] != pytest.approx(averaged["test_loss"], rel=1e-2)
    for images in ("own", "neighbours", "pooled"):
        assert scores(agents, Calibration(images=images)) == pytest.approx(expected, rel=1e-4)
    few = [scores(agents, Calibration(limit=20), round)["test_loss"] for round in (1, 1, 2)]
    assert few[0] == few[1] != few[2]
    after = agents.tensors(optimizers=False)
    assert all((tensor == before[name]).all() for name, tensor in after.items())


def test_where_all_average_at_once_the_mean_is_each(small, tmp_path):
    small |= {"method": "wa", "graph": "complete", "measures": ["mean_model"]}
    rows = rows_of(trained(small, tmp_path))
    for round in range(1, ROUNDS + 1):
        at = [row for row in rows if (row["round"], row["stage"]) == (str(round), "merged")]
        (mean,) = [float(row["value"]) for row in at if row["metric"] == "mean_model_test_loss"]
        for row in at:
            if row["metric"] == "test_loss":
                assert float(row["value"]) == pytest.approx(mean, rel=1e-4)


# What they are refused for.


def test_tasks_without_images_have_no_such_thing():
    agents = Quadratics(agents=5)
    communicator = InProcess(Ring().mixing_matrix(5))
    for asked in ALL:
        with pytest.raises(InputError, match=rf"^measures: \['{asked}'\] are of networks, and \w+ has none"):
            measure(agents, communicator, 0, "start", (), {asked})
    assert measure(agents, communicator, 0, "start")


# One run, whatever is recorded of it.


def test_a_run_without_them_has_the_id_that_it_had(small):
    (run,) = parse_study(small | {"measures": []}, "study").runs.values()
    assert "measures" not in run.model_dump(mode="json")
    assert {run.id} == set(parse_study(small, "study").runs)
    ids = {
        next(iter(parse_study(small | {"measures": list(each)}, "study").runs))
        for each in itertools.permutations(ALL)
    }
    assert len(ids) == 1 and ids != {run.id}


def test_grids_that_differ_in_them_alone_are_one_run(small):
    variants = [{"measures": ["mean_model"]}, {"graph": "complete", "measures": []}, {"measures": "parts"}]
    study = parse_study(small | {"measures": ["parts"], "variants": variants}, "study")
    found = {run.graph.name: run.measures for run in study.runs.values()}
    assert found == {"ring": ("parts", "mean_model"), "complete": ()}
    assert all(run.id == id for id, run in study.runs.items())


def test_choices_of_learning_rates_and_starts_do_not_depend_on_them(small):
    plain, measured = (
        parse_study(small | {"tuning": {"factors": [0.5, 1.0]}, "measures": each}, "study")
        for each in ([], ALL)
    )
    assert plain.tuned.keys() == measured.tuned.keys()
    assert plain.pretrained.keys() == measured.pretrained.keys()
    (tuned,) = measured.tuned.values()
    assert all(trial.measures == () for trial in tuned.trials().values())


@pytest.mark.parametrize(
    ("measures", "said"),
    [
        (["loss"], "input should be 'training_loss', 'parts', 'mean_model', 'optimum' or 'adaptation'"),
        (["parts", "parts"], "'parts' is listed twice"),
        (None, "input should be 'training_loss', 'parts', 'mean_model', 'optimum' or 'adaptation'"),
        (
            {"name": "parts"},
            "input should be 'training_loss', 'parts', 'mean_model', 'optimum' or 'adaptation'",
        ),
    ],
)
def test_others_are_refused(small, measures, said):
    with pytest.raises(InputError, match=f"^study: measures.*{said}"):
        parse_study(small | {"measures": measures}, "study")


# The records of a study.


def test_runs_with_and_without_parts_are_joined(small, tmp_path):
    small["training"]["rounds"] = 1
    small |= {"variants": [{"graph": "complete", "measures": ALL}]}
    runner = open_runner(small, tmp_path)
    runner.pretrain(only_start(runner))
    for run in runner.study.runs.values():
        runner.train(run)
    collect(runner.study, runner.layout)
    records, runs = read_records(runner.layout.records), read_runs(runner.layout.runs)
    assert set(runs["measures"]) == {"", '["training_loss", "parts", "mean_model"]'}
    (measured,) = (run.id for run in runner.study.runs.values() if run.measures)
    parts = records[records["part"].notna()]
    assert set(parts["run"]) == {measured} and set(parts["metric"]) == {"part_accuracy"}
    assert sorted(set(parts["part"])) == [0, 1, 2]
    for run, rows in records.groupby("run"):
        alone = read_records(runner.layout.run(run))
        assert rows.reset_index(drop=True).equals(alone)
