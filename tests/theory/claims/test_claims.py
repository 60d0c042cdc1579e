"""The register of claims, their verdicts, and what networks and records say of them."""

import re

import numpy
import pandas
import pytest
import yaml

from dimat.communication.in_process import InProcess
from dimat.errors import InputError
from dimat.experiment.records import COLUMNS as RECORDED
from dimat.io.files import write_checked
from dimat.merging.options import Merge
from dimat.topology import Complete, Ring
from theory.audit import CHECKS
from theory.checks import Row
from theory.communication import communication_rows
from theory.counterexamples import gap_counterexample
from theory.gains import gain_rows
from theory.gap import gap_controls, gap_rows, mean_rows
from theory.holonomy import ALL, COLUMNS, IDENTITY, measure, measured_gap_rows
from theory.register import Judgement, claim_of, claims_table, judge, register, without_common_parts
from theory.report import as_frame

RING = Ring()
OF_STUDIES = {"initial gain", "final gain", "communication", "bytes"}


def a_row(verdict, claim="rate", statement="s", problem="p", agents=4):
    measured, bound = {"holds": (1.0, 2.0), "violated": (2.0, 1.0), "undecided": (1.0, numpy.nan)}[verdict]
    numbers = (measured, measured, measured, bound)
    return Row(claim, statement, "q", "ring", agents, None, *numbers, problem=problem)


def judged(kind, *rows, **fields):
    content = {"statement": "s", "where": "w", "kind": kind, "assumptions": [], "checks": ["rate"]} | fields
    claim = claim_of(yaml.safe_dump(content), "a.yaml")
    frame = as_frame(list(rows))
    return Judgement("a", claim, frame[claim.bears(frame)])


# The register.


def test_every_claim_is_checked_by_rows_that_there_are():
    made = {name for names in CHECKS for name in names}
    for id, claim in register().items():
        assert claim.checks and claim.assumptions and claim.where, id
        assert set(claim.audited()) <= made | OF_STUDIES, id
    assert {name for claim in register().values() for name in claim.audited()} == made | OF_STUDIES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", r"^a\.yaml: statement: missing"),
        ("statement: [", r"^a\.yaml: not valid YAML"),
        ("statement: s\nkind: rumour", r"^a\.yaml: .*"),
    ],
)
def test_a_wrong_file_is_one_line(content, message):
    with pytest.raises(InputError, match=message):
        claim_of(content, "a.yaml")


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], "undecidable here"),
        (["holds", "holds"], "holds"),
        (["holds", "undecided"], "undecidable here"),
        (["holds", "violated"], "refuted"),
        (["undecided", "violated"], "refuted"),
    ],
)
def test_one_counterexample_refutes_a_theorem(verdicts, expected):
    assert judged("theorem", *map(a_row, verdicts)).verdict == expected
    if expected == "holds":
        with_conditions = judged("theorem", *map(a_row, verdicts), conditions="if")
        assert with_conditions.verdict == "holds under conditions"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([], [], "undecidable here"),
        (["undecided"], ["undecided"], "undecidable here"),
        (["holds", "undecided"], ["holds"], "holds"),
        (["holds"], ["undecided"], "holds under conditions"),
        (["holds"], ["holds", "violated"], "holds under conditions"),
        (["violated", "holds"], ["undecided"], "refuted"),
    ],
)
def test_a_measurement_is_judged_by_setting(first, second, expected):
    rows = [a_row(verdict, problem="x; one") for verdict in first]
    rows += [a_row(verdict, problem="x; two") for verdict in second]
    judgement = judged("measurement", *rows)
    assert judgement.verdict == expected
    if expected == "holds under conditions":
        assert "It holds in: (one)." in judgement.conditions and "(two)" in judgement.conditions


def test_controls_do_not_bear_on_a_claim_and_statements_are_told_apart():
    control = Row("rate", "s", "q", "ring", 4, None, 2.0, 2.0, 2.0, 1.0, control=True)
    assert judged("theorem", control, a_row("holds")).verdict == "holds"
    rows = [a_row("holds", statement="one, and more"), a_row("violated", statement="two")]
    assert judged("theorem", *rows, checks=["rate: one"]).verdict == "holds"
    assert judged("theorem", *rows, checks=["rate: two"]).verdict == "refuted"
    assert judged("theorem", *rows, checks=["rate: three"]).verdict == "undecidable here"


def test_the_smallest_counterexample_is_named():
    rows = [
        a_row("violated", agents=8),
        a_row("violated", statement="small", agents=3),
        a_row("holds", agents=2),
    ]
    assert judged("theorem", *rows).counterexample.startswith("small, p, ring of 3: q 2, against 1")
    assert judged("theorem", a_row("holds")).counterexample == ""


def test_common_parts_of_settings_are_left_out():
    assert without_common_parts(["a; b; c", "a; d; c"]) == ["b", "d"]
    assert without_common_parts(["a; b"]) == ["a; b"]
    assert without_common_parts([]) == []


def test_strict_claims_are_violated_by_equality_of_exact_numbers_only():
    exact = Row("c", "s", "q", "ring", 4, None, 1.0, 1.0, 1.0, 1.0, strict=True)
    wide = Row("c", "s", "q", "ring", 4, None, 1.0, 0.9, 1.0, 1.0, strict=True)
    loose = Row("c", "s", "q", "ring", 4, None, 1.0, 1.0, 1.0, 1.0)
    assert [row.verdict for row in (exact, wide, loose)] == ["violated", "undecided", "undecided"]


# The spectral gap.


def test_no_reading_of_the_operator_lies_below_and_one_of_agents_does():
    rows = list(gap_rows())
    of_operators = [row for row in rows if row.statement.endswith("permutations")]
    assert len(of_operators) == 80 and {row.verdict for row in of_operators} == {"violated"}
    one, in_turn = (row for row in rows if row not in of_operators)
    assert (one.verdict, in_turn.verdict) == ("holds", "violated")
    equal = {row.statement for row in of_operators if row.low == row.high == row.bound}
    assert {"eigenvalue, consistent permutations", "from the mean, no permutations"} <= equal
    assert "eigenvalue, independent permutations" not in {
        row.statement for row in of_operators if row.graph == "ring" and row.low == row.bound
    }


def test_the_mean_is_kept_without_permutations_only():
    rows = list(mean_rows())
    kept = {row.statement for row in rows if row.verdict == "holds"}
    assert kept == {"the mean over agents is kept, no permutations"}
    assert min(row.agents for row in rows if row.verdict == "violated") == 2


def test_controls_of_the_gap_are_rejected():
    assert [row.verdict for row in gap_controls()] == ["rejected"] * 3


def test_the_smallest_counterexample_of_the_gap_is_that_of_the_eigenvalues():
    found = gap_counterexample()
    assert (found.lift.agents, found.lift.size) == (3, 2)
    values = numpy.sort(abs(numpy.linalg.eigvalsh(found.lift.operator().toarray())))
    assert abs(values[-2] - 2 / 3) < 1e-12  # the lift is a ring of 6
    assert "spec(W)  = -0.3333, 0.0000, 0.0000, 0.6667, 0.6667, 1.0000" in str(found)


# Real networks.


def test_networks_that_are_shuffled_copies_are_matched_back(make_fleet, randomize):
    fleet = make_fleet(agents=3, pretrain_epochs=0)
    for row in range(3):
        fleet.models[row].load_state_dict(randomize(fleet.models[0], 1).state_dict())
        shuffled = numpy.random.default_rng(row)
        fleet.reorder(row, {group.name: _tensor(shuffled.permutation(group.size)) for group in fleet.groups})
    merge = Merge(matcher={"name": "weight"}, images="pooled")
    rows = measure(fleet, RING.mixing_matrix(3), merge)
    for row in rows:
        assert row.closed_share == 1 and row.orbits == row.size
        assert abs(row.eigenvalue - row.root) < 1e-12
    *layers, whole = rows
    assert {row.relation for row in layers} == {"equal"} and whole.layer == ALL
    assert whole.disagreement_before > 0.1 and whole.disagreement_after < 1e-9
    assert whole.size == sum(parameter.numel() for parameter in fleet.models[0].parameters())
    assert whole.links == 6


def _tensor(order):
    import torch

    return torch.from_numpy(order)


def test_networks_trained_apart_have_holonomy(make_fleet):
    fleet = make_fleet(agents=4, pretrain_epochs=1)
    fleet.pretrain(0)
    mixing = Complete().mixing_matrix(4)
    rows = measure(fleet, mixing, Merge(images="pooled"))
    assert measure(fleet, mixing, Merge(images="pooled")) == rows  # measuring leaves the networks as they are
    *layers, whole = rows
    assert all(row.relation == "above" and row.root <= row.low <= row.eigenvalue + 1e-9 for row in layers)
    assert all(row.orbits < row.size for row in rows)
    assert whole.eigenvalue >= max(row.eigenvalue for row in layers) - 1e-6
    about = {"start": "x", "data": "digits", "model": "plain", "partition": "IID", "graph": "complete"}
    about |= {"agents": 4, "matching": "", "merge": "pooled images", "seed": 0}
    frame = pandas.DataFrame([about | vars(row) for row in rows], columns=[*IDENTITY, *COLUMNS])
    assert [row.verdict for row in measured_gap_rows(frame)] == ["violated"] * len(layers)


# Records.


def recorded(*runs):
    """Records as collected: of each run, its identity and its values by (round, agent, metric)."""
    common = {"data": "d", "model": "m", "partition": "IID", "graph": "ring", "agents": 3, "layer": ""}
    common |= {"matching": "", "merge": "own images", "protocol": ""}
    lines = []
    for identity, values in runs:
        run = common | identity | {"run": f"{identity['method']}-{identity['seed']}"}
        for (round, agent, metric), value in values.items():
            stage = "merged" if round else "start"
            measured = {"round": round, "agent": agent, "metric": metric, "value": value, "stage": stage}
            lines.append(run | measured)
    return pandas.DataFrame(lines, columns=RECORDED)


def accuracies(method, seed, *by_round):
    values = {
        (round + 1, agent, "test_accuracy"): mean + 0.01 * agent
        for round, mean in enumerate(by_round)
        for agent in (0, 1)
    }
    return {"method": method, "seed": seed}, values


def test_gains_are_paired_differences_over_seeds():
    records = recorded(
        accuracies("DIMAT, adam", 0, 0.50, 0.60, 0.70),
        accuracies("DIMAT, adam", 1, 0.40, 0.60, 0.70),
        accuracies("WA, adam", 0, 0.30, 0.62, 0.90),
        accuracies("WA, adam", 1, 0.21, 0.57, 0.91),
        accuracies("SGP", 0, 0.90, 0.10, 0.70),
        accuracies("SGP", 1, 0.90, 0.11, 0.70),
        accuracies("no communication", 0, 0.9, 0.9, 0.9),
    )
    rows = {(row.claim, row.statement): row for row in gain_rows(records)}
    first = rows["initial gain", "ahead of WA, adam at the first merge"]
    assert first.measured == pytest.approx(-19.5) and first.seeds == 2
    assert first.high - first.measured == pytest.approx(12.7062 * 0.5, rel=1e-4)  # t, 1 degree of freedom
    assert {key: row.verdict for key, row in rows.items()} == {
        ("initial gain", "ahead of WA, adam at the first merge"): "holds",
        ("initial gain", "ahead of WA, adam after the first round"): "undecided",
        ("final gain", "ahead of WA, adam at merge 3"): "violated",
        ("initial gain", "ahead of SGP after the first round"): "holds",
        ("final gain", "ahead of SGP at merge 3"): "undecided",
    }


def test_bytes_are_held_to_closed_forms_and_compared(make_network):
    network = make_network(RING, 3)  # 6 links
    size, parameters, merges, steps = 100, 20, 2, 5
    sent = InProcess(network.mixing)
    for _ in range(merges):
        sent.exchange([{"w": numpy.zeros(size, numpy.uint8)}] * 3, "models")
    by_agent = {a: sent.bytes_sent[a, "models"] for a in range(3)}
    dimat = {(merges, a, "bytes_sent_models"): by_agent[a] for a in range(3)}
    dpsgd = {(merges, a, "bytes_sent_models"): 2 * 4 * parameters * steps for a in range(3)}
    started = {(0, a, "gradient_steps"): 7 for a in range(3)}
    dpsgd |= started | {(merges, a, "gradient_steps"): 7 + steps for a in range(3)}
    about = {"start": "x", "data": "d", "model": "m", "partition": "IID", "graph": "ring", "agents": 3}
    about |= {"matching": "", "merge": "own images", "seed": 0}
    whole = about | {"layer": ALL, "size": parameters, "links": 6, "network_bytes": size}
    holonomy = pandas.DataFrame([whole], columns=[*IDENTITY, *COLUMNS])
    records = recorded(({"method": "DIMAT", "seed": 0}, dimat), ({"method": "D-PSGD", "seed": 0}, dpsgd))
    first, second, less = communication_rows(records, holonomy)
    assert [first.measured, second.measured] == [0, 0] and first.verdict == second.verdict == "holds"
    assert (less.measured, less.bound) == (2 * size * merges, 2 * 4 * parameters * steps)
    dimat[merges, 0, "bytes_sent_models"] += 1  # a byte too many
    wrong, *_ = communication_rows(recorded(({"method": "DIMAT", "seed": 0}, dimat)), holonomy)
    assert wrong.verdict == "violated" and wrong.measured == 1


# The commands.


def test_pipeline_judges_a_study(dimat, small, write_config, tmp_path):
    small |= {"method": ["dimat", "wa", "dpsgd"], "merge": {"images": "own"}, "seeds": [0, 1]}
    small["training"] |= {"pretrain_epochs": 1, "rounds": 2, "epochs": 2}
    config = write_config(small)
    for name in ("prepare", "partition", "pretrain", "train", "collect", "holonomy"):
        assert dimat(name, config).returncode == 0
    results = tmp_path / "results" / "small"
    assert len(list((results / "holonomy").glob("*.csv"))) == 2
    without = dimat("claims", config)
    assert without.returncode == 2 and "audit.csv: no such file" in without.stderr
    write_checked(results / "audit.csv", as_frame(list(gap_rows())).to_csv(index=False).encode())
    done = dimat("claims", config)
    assert done.returncode == 0, done.stderr
    table = pandas.read_csv(results / "claims.csv", keep_default_na=False).set_index("id")
    assert set(table.index) == set(register())
    assert table.verdict["bytes"] == "holds" and table.verdict["communication"] == "holds"
    assert table.verdict["tighter-gap"] == "refuted" and table.verdict["rate-sgd"] == "undecidable here"
    audited = dimat("audit", "bytes", "--study", config)
    assert audited.returncode == 0 and "verdict: holds (3 checks: 3 holds)" in audited.stdout
    write_checked(results / "audit.csv", b"claim,statement\n")
    damaged = dimat("claims", config)
    assert damaged.returncode == 2 and "audit.csv: damaged" in damaged.stderr


def test_audit_prints_a_claim_with_its_smallest_counterexamples(dimat):
    listed = dimat("audit")
    assert all(re.search(rf"^{id}$", listed.stdout, re.M) for id in register())
    found = dimat("audit", "mean-kept")
    assert "verdict: refuted" in found.stdout and "W x =" in found.stdout
    proved = dimat("audit", "matched-disagreement")
    assert "verdict: holds (6 checks" in proved.stdout and "follows (checked by sympy)" in proved.stdout
    wrong = dimat("audit", "everything")
    assert wrong.returncode == 2 and "everything: no such claim; valid: bytes," in wrong.stderr


def test_table_has_a_record_for_each_claim():
    table = claims_table(judge([as_frame([a_row("holds", claim="spectral gap")])]))
    assert table.set_index("id").verdict["tighter-gap"] == "holds"
    assert list(table.command) == [f"dimat audit {id}" for id in register()]
