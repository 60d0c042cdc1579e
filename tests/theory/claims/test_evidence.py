"""What records of a study say of the claims."""

import pandas
import pytest
import torch
from support.recorded import METRIC, a_run, records_of, runs_of

from dimat.io.files import write_checked
from dimat.topology import Ring
from theory.claims.claim import register
from theory.claims.communication import communication_rows
from theory.claims.gains import gain_rows
from theory.gap.holonomy import ALL, COLUMNS, measured_gap_rows
from theory.gap.rows import gap_rows
from theory.report import as_frame


def scores(*by_round):
    return {
        (round + 1, agent, "score"): mean + 0.01 * agent
        for round, mean in enumerate(by_round)
        for agent in (0, 1)
    }


SEEDS = (0, 1)
METHODS = ("dimat", "wa", "sgp")
SCORES = {
    "dimat-0": scores(0.50, 0.60, 0.70),
    "dimat-1": scores(0.40, 0.60, 0.70),
    "wa-0": scores(0.30, 0.62, 0.90),
    "wa-1": scores(0.21, 0.57, 0.91),
    "sgp-0": scores(0.90, 0.10, 0.70),
    "sgp-1": scores(0.90, 0.11, 0.70),
    "local-0": scores(0.9, 0.9, 0.9),
}
VERDICTS = {
    ("initial-gain", "ahead of WA at the first merge"): "holds",
    ("initial-gain", "ahead of WA after the first round"): "undecided",
    ("final-gain", "ahead of WA at merge 3"): "violated",
    ("initial-gain", "ahead of SGP after the first round"): "holds",
    ("final-gain", "ahead of SGP at merge 3"): "undecided",
}


def gains(*runs, values=SCORES):
    rows = gain_rows(runs_of(*runs), records_of(values))
    return {(row.check, row.statement): row for row in rows}


def all_runs(methods=METHODS, **changed):
    return [a_run(method, seed, **changed) for method in methods for seed in SEEDS]


def test_gains_are_paired_differences_over_seeds():
    rows = gains(*all_runs(), a_run("local", 0))
    first = rows["initial-gain", "ahead of WA at the first merge"]
    assert first.measured == pytest.approx(-19.5) and first.seeds == 2
    assert first.high - first.measured == pytest.approx(12.7062 * 0.5, rel=1e-4)  # t, 1 degree of freedom
    assert first.quantity == "rival - DIMAT, points" and first.problem == "d; plain; IID"
    assert {key: row.verdict for key, row in rows.items()} == VERDICTS


def test_where_less_is_better_gains_are_turned():
    turned = METRIC | {"unit": "", "title": "distance", "scale": "1.0", "better": "lower"}
    rows = gains(*all_runs(metric=turned))
    first = rows["initial-gain", "ahead of WA at the first merge"]
    assert first.measured == pytest.approx(0.195) and first.verdict == "violated"
    assert first.quantity == "rival - DIMAT, distance"


def test_gains_are_those_of_the_published_matching():
    assert gains(*all_runs(["dimat"], matching__alignment="consistent"), *all_runs(["wa", "sgp"])) == {}


def test_rivals_average_as_dimat_does_if_they_can_be_had_so():
    pooled = all_runs(["wa"], calibration__images="pooled")
    pooled = [run | {"run": f"{run['run']}-pooled"} for run in pooled]
    stepping = all_runs(["sgp"], calibration__images="pooled")
    values = SCORES | {f"wa-{seed}-pooled": scores(0.0, 0.0, 0.0) for seed in SEEDS}
    rows = gains(*all_runs(["dimat", "wa"]), *pooled, *stepping, values=values)
    assert {statement for _, statement in rows} == {
        "ahead of WA, own images at the first merge",
        "ahead of WA, own images after the first round",
        "ahead of WA, own images at merge 3",
        "ahead of SGP, pooled images after the first round",
        "ahead of SGP, pooled images at merge 3",
    }
    assert rows["initial-gain", "ahead of WA, own images at the first merge"].measured == pytest.approx(-19.5)


def test_bytes_are_held_to_closed_forms_and_compared(make_communicator):
    size, parameters, merges, steps = 100, 20, 2, 5
    sent = make_communicator(Ring(), 3)  # 6 links
    for _ in range(merges):
        sent.send_to_receivers([{"w": torch.zeros(size, dtype=torch.uint8)}] * 3, "models")
    dimat = {(merges, a, "bytes_sent_models"): sent.bytes_sent[a, "models"] for a in range(3)}
    dpsgd = {(merges, a, "bytes_sent_models"): 2 * 4 * parameters * steps for a in range(3)}
    started = {(0, a, "gradient_steps"): 7 for a in range(3)}
    dpsgd |= started | {(merges, a, "gradient_steps"): 7 + steps for a in range(3)}
    whole = {"run": "dimat-0", "layer": ALL, "size": parameters, "links": 6, "network_bytes": size}
    holonomy = pandas.DataFrame([whole], columns=COLUMNS)
    runs = [a_run("dimat", 0), a_run("dpsgd", 0)]
    records = records_of({"dimat-0": dimat, "dpsgd-0": dpsgd})
    first, second, less = communication_rows(runs_of(*runs), records, holonomy)
    assert [first.measured, second.measured] == [0, 0] and first.verdict == second.verdict == "holds"
    assert first.statement == "DIMAT sends links x network x merges"
    assert second.statement == "D-PSGD sends links x parameters x steps"
    assert (less.measured, less.bound) == (2 * size * merges, 2 * 4 * parameters * steps)
    dimat[merges, 0, "bytes_sent_models"] += 1  # a byte too many
    wrong, *_ = communication_rows(runs_of(*runs), records_of({"dimat-0": dimat, "dpsgd-0": dpsgd}), holonomy)
    assert wrong.verdict == "violated" and wrong.measured == 1


def test_links_that_fail_have_no_closed_form():
    runs = runs_of(a_run("dimat", 0, graph={"name": "ring", "link_failures": 0.5}))
    whole = {"run": "dimat-0", "layer": ALL, "size": 20, "links": 6, "network_bytes": 100}
    records = records_of({"dimat-0": {(1, 0, "bytes_sent_models"): 5}})
    assert list(communication_rows(runs, records, pandas.DataFrame([whole], columns=COLUMNS))) == []


def test_a_study_without_what_claims_are_about_gives_no_rows():
    nothing = pandas.DataFrame(columns=COLUMNS)
    for method in ("local", "wa", "sgp"):
        runs, records = runs_of(*all_runs([method])), records_of(SCORES)
        assert list(gain_rows(runs, records)) == []
        assert list(communication_rows(runs, records, nothing)) == []
        assert list(measured_gap_rows(runs, nothing)) == []


def test_pipeline_judges_a_study(dimat, small, write_config, tmp_path):
    small |= {"method": ["dimat", "wa", "dpsgd", "local"], "calibration": {"images": "own"}, "seeds": [0, 1]}
    small["training"] |= {"pretrain_epochs": 1, "rounds": 2, "epochs": 2}
    config = write_config(small)
    for name in ("prepare", "partition", "pretrain", "train", "collect", "holonomy"):
        assert dimat(name, config).returncode == 0
    results = tmp_path / "results" / "small"
    assert len(list((results / "holonomy").glob("*.csv"))) == 2
    without = dimat("judge", config)
    assert without.returncode == 2 and "audit.csv: no such file" in without.stderr
    audit = tmp_path / "results" / "shared" / "audit.csv"
    write_checked(audit, as_frame(list(gap_rows())).to_csv(index=False).encode())
    done = dimat("judge", config)
    assert done.returncode == 0, done.stderr
    table = pandas.read_csv(results / "claims.csv", keep_default_na=False).set_index("id")
    assert set(table.index) == set(register())
    assert table.verdict["bytes"] == "holds" and table.verdict["communication"] == "holds"
    assert table.verdict["tighter-gap"] == "refuted" and table.verdict["rate-sgd"] == "undecidable here"
    audited = dimat("claim", "bytes", "--study", config)
    assert audited.returncode == 0 and "verdict: holds (3 checks: 3 holds)" in audited.stdout
    write_checked(audit, b"check,statement\n")
    damaged = dimat("judge", config)
    assert damaged.returncode == 2 and "audit.csv: damaged" in damaged.stderr
