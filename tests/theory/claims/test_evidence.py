"""What records of a study say of the claims."""

import pandas
import pytest
import torch
from scipy import stats
from support.recorded import METRIC, a_run, records_of, runs_of

from dimat.io.files import write_checked
from dimat.topology import Ring
from theory.claims.claim import primaries, register
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


SEEDS = range(6)
METHODS = ("dimat", "wa", "sgp")
SCORES = {"local-0": scores(0.9, 0.9, 0.9)}
for seed in SEEDS:
    odd = seed % 2
    SCORES |= {
        f"dimat-{seed}": scores(0.50 - 0.1 * odd, 0.60, 0.70),
        f"wa-{seed}": scores(0.30 - 0.09 * odd, 0.62 - 0.05 * odd, 0.90 + 0.01 * odd),
        f"sgp-{seed}": scores(0.90, 0.10 + 0.01 * odd, 0.70),
    }
FOUND = {
    ("initial-gain", "ahead of WA at the first merge"): ("primary", "holds"),
    ("initial-gain", "ahead of WA after the first round"): ("secondary", "undecided"),
    ("initial-gain", "ahead of SGP after the first round"): ("secondary", "holds"),
    ("final-gain", "ahead of WA at merge 3"): ("primary", "violated"),
    ("final-gain", "ahead of SGP at merge 3"): ("secondary", "undecided"),
}


def gains(*runs, values=SCORES):
    rows = gain_rows(runs_of(*runs), records_of(values), primaries())
    return {(row.check, row.statement): row for row in rows}


def all_runs(methods=METHODS, seeds=SEEDS, **changed):
    return [a_run(method, seed, **changed) for method in methods for seed in seeds]


def test_gains_are_paired_differences_over_seeds():
    rows = gains(*all_runs(), a_run("local", 0))
    assert {key: (row.comparison, row.verdict) for key, row in rows.items()} == FOUND
    first = rows["initial-gain", "ahead of WA at the first merge"]
    test = stats.ttest_1samp([-20, -19] * 3, 0)
    assert (first.measured, first.seeds) == (pytest.approx(-19.5), 6)
    assert (first.low, first.high) == pytest.approx(test.confidence_interval(0.95))
    assert (first.p, first.p_holm) == pytest.approx((test.pvalue, test.pvalue))  # alone in its family
    assert first.quantity == "rival - DIMAT, points" and first.problem == "d; plain; IID"


def test_secondary_comparisons_are_corrected_for_their_own_number():
    rows = gains(*all_runs())
    sgp = rows["initial-gain", "ahead of SGP after the first round"]
    test = stats.ttest_1samp([-50, -49] * 3, 0)
    assert sgp.p_holm == pytest.approx(2 * test.pvalue)
    assert (sgp.low, sgp.high) == pytest.approx(test.confidence_interval(0.975))
    other = rows["initial-gain", "ahead of WA after the first round"]
    assert other.p_holm == other.p and other.risk == 0.05


def test_five_seeds_decide_nothing():
    rows = gains(*all_runs(seeds=SEEDS[:5])).values()
    assert {row.verdict for row in rows} == {"undecided: 5 seeds, 6 wanted"}
    assert not any(row.holds or row.violated for row in rows) and min(row.p_holm for row in rows) < 1e-5


def test_the_error_of_the_test_set_stands_beside():
    row = gains(*all_runs())["initial-gain", "ahead of WA at the first merge"]
    shares = [(0.505, 0.305), (0.405, 0.215)]  # of ours and theirs, by seed
    variance = sum(a + b - (a - b) ** 2 for a, b in shares) / 2 / 400
    half = ((row.high - row.measured) ** 2 + (stats.norm.ppf(0.975) * 100 * variance**0.5) ** 2) ** 0.5
    assert row.high_with_test_error == pytest.approx(row.measured + half)
    assert row.low_with_test_error == pytest.approx(row.measured - half)
    assert row.with_test_error == "holds"
    for left_out in ({"share": "false"}, {"examples": ""}):
        rows = gains(*all_runs(metric=METRIC | left_out)).values()
        assert {row.with_test_error for row in rows} == {None}
    tiny = gains(*all_runs(metric=METRIC | {"examples": "4"}))
    assert {row.with_test_error for row in tiny.values()} == {"undecided"}


@pytest.mark.parametrize(
    "changed",
    [{"calibration__images": "pooled"}, {"training__epochs": 7}, {"tuning": {"factors": [1.0, 2.0]}}],
    ids=["averaged", "trained", "tuned"],
)
def test_what_is_not_alike_is_secondary(changed):
    rows = gains(*all_runs(["dimat"]), *all_runs(["wa"], **changed))
    assert {row.comparison for row in rows.values()} == {"secondary"} and len(rows) == 3


@pytest.mark.parametrize("repair", ["none", "rescale"])
def test_what_is_not_recalibrated_is_secondary(repair):
    rows = gains(*all_runs(["dimat", "wa"], calibration={"repair": repair}))
    assert {row.comparison for row in rows.values()} == {"secondary"} and len(rows) == 3


def test_dimat_is_the_one_that_trains_as_its_rival():
    sgd, adam = ({"name": name, "learning_rate": 0.1} for name in ("sgd", "adam"))
    runs = all_runs(["dimat"], method__optimizer=sgd)
    other = all_runs(["dimat"], method__optimizer=adam)
    other = [run | {"run": f"{run['run']}-adam"} for run in other]
    values = SCORES | {f"dimat-{seed}-adam": scores(0.5, 0.5, 0.5) for seed in SEEDS}
    rows = gains(*runs, *other, *all_runs(["wa"], method__optimizer=adam), values=values)
    (last,) = (row for (check, _), row in rows.items() if check == "final-gain")
    assert (last.measured, last.comparison) == (pytest.approx(40.5), "primary")


def test_where_less_is_better_gains_are_turned():
    turned = METRIC | {"unit": "", "title": "distance", "scale": "1.0", "better": "lower", "share": "false"}
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
        assert list(gain_rows(runs, records, primaries())) == []
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
