"""A shared link in a study: policies as files, simulated times of recorded runs, and mistakes."""

import json

import numpy
import pandas
import pytest
import torch
from support.made_up import measured, write_archived, write_study
from support.refusals import refused, run

from dimat.communication.congestion import Adpg, Fixed
from dimat.communication.congestion.bottleneck import Bottleneck
from dimat.errors import InputError
from dimat.experiment.layout import Layout
from dimat.experiment.policies import TrainedPolicy
from dimat.experiment.reading import parse_study
from dimat.experiment.runner import Runner
from dimat.experiment.simulated import RESTING, SIMULATED, simulated
from dimat.experiment.verify import verify_study
from dimat.io.files import read_json, read_tensors, tensors_sha256, write_checked, write_tensors
from paper.figures import figures_of
from paper.figures.congestion import FLOWS, predicted
from paper.simulated import read_at_rest, read_simulated
from paper.tables import tables_of

LEARNT = {"name": "adpg", "updates": 20, "intervals": 40}
LINK = {"capacity": 0.1, "spread": 0.2, "controller": [{"name": "fixed", "rate": 0.1}, "aimd", LEARNT]}
KEYS = {"method": ["wa", "dpsgd", "local"], "training": {"rounds": 3}, "seeds": [0, 1], "bottleneck": LINK}


def spent(steps, sizes):
    """What two agents have done and sent after each round."""
    index = pandas.MultiIndex.from_product([range(len(steps)), [0, 1]], names=["round", "agent"])
    columns = {"gradient_steps": numpy.repeat(steps, 2), "bytes": numpy.repeat(sizes, 2)}
    return pandas.DataFrame(columns, index=index, dtype=float)


@pytest.mark.parametrize(("often", "exchanges"), [(False, 1), (True, 10)])
def test_at_a_rate_that_fits_rounds_take_their_steps_messages_and_half_a_round_trip(often, exchanges):
    """10 steps of 50 ms, 1e5 bytes at half of 1 MB/s, and half of 20 ms for each exchange."""
    bottleneck = Bottleneck(capacity=1.0, round_trip=20.0, step=50.0)
    rows = spent([4, 14, 24], [0, 1e5, 2e5])
    found = list(simulated(bottleneck, Fixed(rate=0.5), None, rows, often))
    assert [row[0] for row in found] == [0, 1, 2]
    seconds = [row[1] for row in found]
    assert seconds[0] == pytest.approx(4 * 0.05)
    assert numpy.diff(seconds) == pytest.approx(10 * 0.05 + 0.2 + exchanges * 0.01, abs=1e-6)
    assert [row[2:] for row in found] == [pytest.approx((1.0, 0.0, 1.0))] * 3


def test_agents_without_messages_take_their_steps_alone():
    found = list(simulated(Bottleneck(), Fixed(), None, spent([0, 3], [0, 0]), often=False))
    assert found == [(0, 0.0, 1.0, 0.0, 1.0), (1, pytest.approx(0.15), 1.0, 0.0, 1.0)]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A study with made-up records, whose policies were trained and whose link was simulated."""
    folder = tmp_path_factory.mktemp("results")
    study, layout = write_study(folder, lambda run, round, agent: 0.1 * (1 + round), measured, **KEYS)
    config = folder / "study.json"
    config.write_text(json.dumps(study.resolved()))
    with pytest.MonkeyPatch.context() as patch:
        for command in ("policy", "simulate"):
            code, _, err = run(patch, command, config, "--results", folder)
            assert code == 0, err
    return study, layout, config


def test_policies_say_what_made_them_and_come_out_again(done):
    study, layout, _ = done
    assert len(study.policies) == 2  # one for each seed
    for id, policy in study.policies.items():
        weights, about = read_tensors(layout.policy(id))
        made = read_json(layout.policy_provenance(id))
        assert about == {"policy": id, "trained": policy.model_dump(mode="json")}
        assert made["weights"] == tensors_sha256(weights) and len(made["losses"]) == LEARNT["updates"]
        again, losses = policy.learnt()
        assert losses == made["losses"]
        assert all(torch.equal(again.weights[name], each) for name, each in weights.items())


def test_another_policy_under_the_name_is_refused(done, tmp_path):
    study, layout, _ = done
    first, second = study.policies.values()
    other = Layout(tmp_path / "other")
    other.policy(first.id).parent.mkdir(parents=True)
    other.policy(first.id).write_bytes(layout.policy(second.id).read_bytes())
    with pytest.raises(InputError, match="holds another policy"):
        first.load(other)


def test_verify_trains_policies_again(done, tmp_path):
    study, layout, _ = done
    (first, policy), (second, _) = study.policies.items()
    other = Layout(tmp_path / study.name)
    other.root.mkdir()
    write_tensors(other.policy(first), policy.load(layout).weights, {"policy": first})
    write_tensors(other.policy(second), policy.load(layout).weights, {"policy": second})
    found = {finding.what: finding.right for finding in verify_study(Runner(study, other))}
    assert found[str(other.policy(first))] is True
    assert found[str(other.policy(second))] is False


def test_ids_of_policies_depend_on_what_they_are_trained_on():
    ids = {
        TrainedPolicy(controller=Adpg(flows=flows), buffer=buffer, seed=seed).id
        for flows, buffer, seed in [((4,), 4.0, 0), ((4, 8), 4.0, 0), ((4,), 5.0, 0), ((4,), 4.0, 1)]
    }
    assert len(ids) == 4


def test_every_run_is_simulated_with_every_controller(done):
    study, layout, _ = done
    found = read_simulated(layout)
    assert tuple(found) == SIMULATED and tuple(read_at_rest(layout)) == RESTING
    assert found.groupby(["run", "controller", "spread"]).size().eq(4).all()  # rounds 0 to 3
    assert len(found) == 4 * len(study.runs) * 3 * 2
    rising = found.groupby(["run", "controller", "spread"]).seconds.diff().dropna()
    assert (rising >= 0).all()
    silent = [id for id, run in study.runs.items() if run.method.name == "local"]
    assert (found[found.run.isin(silent)].round_trip == 1).all()


def test_simulating_again_gives_the_same_bytes(done, monkeypatch):
    _, layout, config = done
    before = [path.read_bytes() for path in (layout.simulated, layout.at_rest)]
    code, _, err = run(monkeypatch, "simulate", config, "--results", layout.results)
    assert code == 0, err
    assert [path.read_bytes() for path in (layout.simulated, layout.at_rest)] == before


def test_figures_and_tables_show_what_was_simulated(done):
    study, layout, _ = done
    figures = figures_of(study)
    assert {"congestion", "simulated-time-digits-plain-2"} <= set(figures)
    told = figures["simulated-time-digits-plain-2"].finding(layout)
    assert all(words in told for words in ("WA", "D-PSGD", "fixed rate 0.1", "ADPG"))
    assert "no communication" not in told
    rows = tables_of(study)["congestion"].rows(layout)
    assert len(rows) == 3 * 3 * 2 and set(rows.spread) == {"0", "0.2"}
    assert "congestion" not in figures_of(parse_study(study.resolved() | {"bottleneck": None}, "study"))


@pytest.mark.parametrize(("factor", "said"), [(1.01, " generalises"), (1.2, "does not generalise")])
def test_the_finding_says_whether_a_policy_generalises(tmp_path, factor, said):
    """It was trained on 2 and 4 flows; only what differs from the fixed point elsewhere counts."""
    learnt = LEARNT | {"flows": [2, 4]}
    keys = {"method": "wa", "seeds": [0, 1], "bottleneck": {"controller": learnt}}
    study, layout = write_study(tmp_path, lambda *_: 0.5, **keys)
    (controller,) = study.bottleneck.controller
    rows = [
        (
            0,
            seed,
            0.0,
            flows,
            predicted(controller, 4.0, 0.0, flows)[0] * (factor if flows > 4 else 2),
            1,
            1,
            0,
        )
        for seed in (0, 1)
        for flows in FLOWS
    ]
    table = pandas.DataFrame(rows, columns=list(RESTING))
    write_checked(layout.at_rest, table.to_csv(index=False).encode())
    assert said in figures_of(study)["congestion"].finding(layout)


def test_archives_hold_what_was_simulated(tmp_path):
    from dimat.experiment.archive import pack, unpack

    study, _ = write_study(tmp_path / "made", lambda *_: 0.5, **KEYS)
    layout = write_archived(tmp_path / "there", study)
    for path in (layout.at_rest, layout.simulated):
        write_checked(path, b"controller\n0\n")
    content, _ = pack([study], tmp_path / "there", unfinished=False)
    (tmp_path / "archive.tar.xz").write_bytes(content)
    unpack(tmp_path / "archive.tar.xz", tmp_path / "again")
    assert (tmp_path / "again" / study.name / "simulated.csv").read_bytes() == b"controller\n0\n"


@pytest.mark.parametrize(
    ("bottleneck", "words"),
    [
        ({"capacity": 0}, "bottleneck.capacity: 0 is not valid: input should be greater than 0"),
        ({"round_trip": -1}, "bottleneck.round_trip"),
        ({"buffer": 0}, "bottleneck.buffer"),
        ({"first_rate": 0}, "bottleneck.first_rate"),
        ({"controller": []}, "bottleneck.controller"),
        ({"controller": "cubic"}, "expected one of 'fixed', 'aimd', 'proportional', 'adpg'"),
        ({"controller": {"name": "fixed", "rate": 0}}, "rate"),
        ({"controller": {"name": "aimd", "decrease": 1}}, "decrease"),
        ({"controller": {"name": "adpg", "flows": []}}, "flows"),
        ({"controller": {"name": "adpg", "flows": [0]}}, "flows"),
        ({"controller": ["aimd", "aimd"]}, "listed twice"),
        (
            {"buffer": 1, "controller": {"name": "proportional", "tolerated": 2}},
            "tolerate less than 1 + buffer = 2 round trips, got 2 of proportional rule",
        ),
        ({"bandwidth": 1}, "unknown key"),
    ],
)
def test_mistakes_are_one_line(bottleneck, words):
    content = {"name": "study", "data": "digits", "model": "plain", "partition": "iid", "graph": "ring"}
    with pytest.raises(InputError) as caught:
        parse_study(content | {"method": "wa", "bottleneck": bottleneck}, "study.yaml")
    message = str(caught.value)
    assert message.startswith("study.yaml: bottleneck") and len(message.splitlines()) == 1
    assert words in message


def test_agents_that_take_turns_share_no_link():
    content = {"name": "study", "data": "digits", "model": "plain", "partition": "iid", "graph": "ring"}
    content |= {"method": ["wa", "coded_admm"]}
    assert parse_study(content, "study.yaml").runs
    words = (
        r"^study\.yaml: bottleneck: agents take turns by method\.name: 'coded_admm'.*; expected other methods"
    )
    with pytest.raises(InputError, match=words):
        parse_study(content | {"bottleneck": {}}, "study.yaml")


def test_without_a_shared_link_there_is_nothing_to_simulate(tmp_path, monkeypatch):
    study, _ = write_study(tmp_path, lambda *_: 0.5, method="wa")
    config = tmp_path / "study.json"
    config.write_text(json.dumps(study.resolved()))
    code, _, err = run(monkeypatch, "simulate", config, "--results", tmp_path)
    assert refused(code, err) and "bottleneck: none is in this configuration" in err
    code, _, err = run(monkeypatch, "policy", config, "--results", tmp_path, "--only", "nobody")
    assert refused(code, err)
