"""One network, trained on all images, from which all agents go on; and task vectors that count from it."""

import csv
import io

import pytest
import torch
from support.jobs import carried_out, only_run, only_start, open_runner

from dimat.experiment.reading import parse_study
from dimat.experiment.resources import expected
from dimat.experiment.throughput import slowest
from dimat.experiment.verify import verify_run
from dimat.experiment.work import images_of, run_work, start_work
from dimat.io.files import read_tensors
from theory.gap.first_merges import first_merges

TUNED = {"name": "wa", "coefficients": {"name": "adamerging", "steps": 3, "learning_rate": 0.1}}
TURNED = {"name": "rotated", "angles": [0, 45, 90]}


@pytest.fixture
def shared(small):
    """A small study whose agents go on from one network."""
    small["training"] |= {"start": "pretrained", "rounds": 3}
    return small


def rows_of(runner):
    path = runner.layout.run(only_run(runner).id)
    return list(csv.DictReader(io.StringIO(path.read_text())))


def networks_of(tensors, agents):
    return [
        {name.partition("/")[2]: tensor for name, tensor in tensors.items() if name.startswith(f"{agent}/")}
        for agent in range(agents)
    ]


def test_all_agents_start_from_the_one_network_of_pooled_training(shared, tmp_path):
    shared["method"] = ["wa", "local", "pooled"]
    study = parse_study(shared, "small")
    (start,) = study.pretrained.values()
    assert (start.agents, start.partition) == (1, None)
    assert {each.agents for each in study.partitioned.values()} == {1, 3}
    different = parse_study(shared | {"training": shared["training"] | {"start": "different"}}, "small")
    assert start.id in different.pretrained  # that of pooled training

    runner = open_runner(shared, tmp_path)
    runner.pretrain(start)
    (pooled,) = networks_of(read_tensors(runner.layout.pretrained(start.id))[0], 1)
    for run in study.runs.values():
        _, agents, _, progress = runner.opened(run, runner.checkpoint_of(run))
        assert len(agents.models) == run.agents
        for network in networks_of(agents.tensors(optimizers=False), run.agents):
            assert network.keys() == pooled.keys()
            assert all(torch.equal(network[name], pooled[name]) for name in pooled)
        levels = {row.value for row in progress["measurements"] if row.metric == "test_accuracy"}
        assert len(levels) == 1


def test_two_phases_pretrain_on_what_all_hold_before_the_first_merge(shared, tmp_path):
    runner = open_runner(shared | {"partition": "two_phase"}, tmp_path)
    start, run = only_start(runner), only_run(runner)
    one, many = (runner.dealt(each.partitioned) for each in (start, run))
    before = sorted(image for own in many["pretrain"] for image in own["images"])
    assert [own["images"] for own in one["pretrain"]] == [before]
    assert len(before) < len(many["train"][0]["images"]) * 3 + 60


def test_the_start_does_not_depend_on_how_images_are_dealt_out_or_turned(shared):
    starts = [
        only_start_of(shared | changes)
        for changes in (
            {},
            {"partition": "classes"},
            {"agents": 5},
            {"graph": "complete"},
            {"task": TURNED},
            {"method": TUNED},
        )
    ]
    assert len(set(starts)) == 1
    apart = {"training": shared["training"] | {"start": "different"}}
    assert only_start_of(shared | apart | {"task": TURNED}) != only_start_of(shared | apart)


def only_start_of(content):
    (start,) = parse_study(content, "small").pretrained
    return start


def test_records_of_turned_images_and_of_coefficients(shared, tmp_path):
    runner = carried_out(shared | {"task": TURNED, "method": TUNED, "measures": "parts"}, tmp_path)
    rows = rows_of(runner)
    parts = [row for row in rows if row["metric"] == "part_accuracy"]
    assert {(row["round"], row["agent"], row["part"]) for row in parts} == {
        (str(round), str(agent), str(part)) for round in (0, 1, 3) for agent in range(3) for part in range(3)
    }
    by_agent = {}
    for row in parts:
        by_agent.setdefault((row["round"], row["agent"]), []).append(float(row["value"]))
    whole = {
        (row["round"], row["agent"]): float(row["value"])
        for row in rows
        if row["metric"] == "test_accuracy" and row["stage"] != "trained"
    }
    for key, values in by_agent.items():
        assert whole[key] == pytest.approx(sum(values) / 3)
    sums = [row for row in rows if row["metric"] == "coefficient_sum"]
    assert {(row["agent"], row["stage"]) for row in sums} == {("", "merged")}
    tensors = {row["layer"] for row in sums} - {""}
    assert "classifier.weight" in tensors
    for round in ("1", "2", "3"):
        here = {row["layer"]: float(row["value"]) for row in sums if row["round"] == round}
        assert here[""] == pytest.approx(sum(here[name] for name in tensors) / len(tensors))
        # Three neighbours of 0.3 each, which move once there is something to tell them apart.
        assert (here[""] == pytest.approx(0.9, abs=1e-12)) == (round == "1")
    assert all(finding.right is not False for finding in verify_run(runner, only_run(runner)))


def test_the_first_merge_of_equal_networks_changes_no_parameter(shared, tmp_path):
    runner = open_runner(shared | {"method": TUNED, "calibration": {"repair": "none"}}, tmp_path)
    runner.pretrain(only_start(runner))
    run = only_run(runner)
    method, agents, communicator, _ = runner.opened(run, runner.checkpoint_of(run))
    before = agents.parameters
    next(method.rounds(agents, communicator, run.merging, 1, 3))
    assert torch.equal(agents.parameters, before)
    assert torch.equal(agents.state["start"], before)


def test_the_start_follows_the_neurons(shared, tmp_path):
    runner = open_runner(shared | {"method": TUNED | {"name": "dimat"}}, tmp_path)
    runner.pretrain(only_start(runner))
    run = only_run(runner)
    _, agents, _, _ = runner.opened(run, runner.checkpoint_of(run))
    agents.state["start"] = agents.parameters
    order = {group.name: torch.arange(group.size).flip(0) for group in agents.symmetry}
    agents.reorder(1, order)
    assert not torch.equal(agents.parameters[1], agents.parameters[0])
    assert torch.equal(agents.state["start"], agents.parameters)


def test_plans_count_one_start_and_no_tuning_before_there_is_something_to_tune(shared):
    content = shared | {"method": TUNED, "task": TURNED}
    study = parse_study(content, "small")
    (start,), (run,) = study.pretrained.values(), study.runs.values()
    images = images_of(run.data)
    apart = parse_study(content | {"training": shared["training"] | {"start": "different"}}, "small")
    (other,), (same,) = apart.pretrained.values(), apart.runs.values()
    steps = [start_work(each, images)[0].steps.operations for each in (start, other)]
    assert steps[0] == pytest.approx(steps[1])  # the same images, in one place
    tuning = [run_work(each, images)[0].merged.operations for each in (run, same)]
    untuned = parse_study(content | {"method": "wa"}, "small").runs.popitem()[1]
    plain = run_work(untuned, images)[0].merged.operations
    assert (tuning[0] - plain) / (tuning[1] - plain) == pytest.approx(2 / 3)
    upright = parse_study(shared | {"method": TUNED}, "small").runs.popitem()[1]
    evaluated = [run_work(each, images)[0].evaluated.operations for each in (run, upright)]
    assert evaluated[0] == pytest.approx(3 * evaluated[1])
    assert expected(start, slowest("cpu")).seconds > 0


def test_the_audit_looks_at_no_first_merge_of_equal_networks(shared):
    assert first_merges(parse_study(shared, "small")) == {}
    apart = shared | {"training": shared["training"] | {"start": "different"}}
    assert len(first_merges(parse_study(apart, "small"))) == 1
