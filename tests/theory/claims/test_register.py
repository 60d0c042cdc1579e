"""The register of claims, and the verdicts that rows give them."""

import re
from dataclasses import replace

import numpy
import pytest
import yaml

from dimat.errors import InputError
from theory.claims import claim as claim_module
from theory.claims.checks import IDS
from theory.claims.claim import claim_of, primaries, register
from theory.claims.judgement import Judgement, claims_table, judgements, without_common_parts
from theory.claims.paired import PairedRow, corrected
from theory.report import EVIDENCE, as_frame
from theory.rows import Row


def a_row(verdict, check="rate", statement="s", problem="p", agents=4):
    measured, bound = {
        "holds": (1.0, 2.0),
        "violated": (2.0, 1.0),
        "equal": (1.0, 1.0),
        "undecided": (1.0, numpy.nan),
    }[verdict]
    numbers = (measured, measured, measured, bound)
    return Row(check, statement, "q", "ring", agents, None, *numbers, problem=problem, strict=True)


def a_claim(**fields):
    content = {
        "statement": "s",
        "where": "w",
        "unread": "u",
        "kind": "theorem",
        "assumptions": [],
        "checks": ["rate"],
    }
    return claim_of(yaml.safe_dump(content | fields), "a.yaml")


def judged(kind, *rows, **fields):
    return Judgement.of("a", a_claim(kind=kind, **fields), as_frame(list(rows)))


# The register.


def test_every_claim_rests_on_checks_and_every_check_bears_on_a_claim():
    claims = register()
    assert all(claim.checks and claim.assumptions and claim.where for claim in claims.values())
    assert all(claim.source().endswith(f"Not read: {claim.unread}") for claim in claims.values())
    assert {id for claim in claims.values() for id in claim.checks} == set(IDS)


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


@pytest.mark.parametrize("id", ["rates", "convergence", "convergence.gossi", "the exponent of K is -1/2", ""])
def test_a_check_that_there_is_not_is_an_error(id):
    """Not a verdict "undecidable here"; neither words of rows nor the beginning of an id will do."""
    with pytest.raises(InputError, match=rf"^a\.yaml: checks: '{id}' is none; expected one of spectrum, .*"):
        a_claim(checks=["rate", id])


def test_a_derivation_that_there_is_not_is_an_error():
    with pytest.raises(InputError, match=r"^a\.yaml: derivations: 'gosip' is none; expected one of gossip, "):
        a_claim(derivations=["gosip"])


def test_words_do_not_change_a_verdict():
    rows = [a_row("holds"), a_row("violated", check="mean"), a_row("undecided", check="equivalence")]
    renamed = [replace(row, statement=f"no {row.check}", quantity="mean", problem="mean") for row in rows]
    for kind, check in (("theorem", "rate"), ("theorem", "mean"), ("measurement", "equivalence")):
        before = judged(kind, *rows, checks=[check]).verdict
        assert judged(kind, *renamed, checks=[check]).verdict == before
        assert judged(kind, *rows, checks=[check], statement="mean", instead="mean").verdict == before


PRIMARY = {"rival": "wa", "when": "first merge", "alike": ["averaging"], "repair": "recalibrate"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, r"primary: decides nothing; expected one that decides initial-gain"),
        (
            {"primary": PRIMARY, "checks": ["rate"]},
            r"primary: decides initial-gain; expected one that",
        ),
        ({"primary": PRIMARY | {"when": "last merge"}}, r"primary: decides final-gain; expected one that de"),
        ({"primary": PRIMARY | {"when": "soon"}}, r"primary\.when: 'soon' .* 'first round' or 'last merge'"),
        ({"primary": PRIMARY | {"rival": "dimat"}}, r"primary\.rival: 'dimat' .*: expected another method "),
        ({"primary": PRIMARY | {"rival": "sgp"}}, r"primary: .* expected first round or last merge, as its"),
        (
            {"primary": PRIMARY | {"alike": ["model"]}},
            r"primary\.alike\.0: 'model' .* or 'tuning'",
        ),
        ({"primary": PRIMARY | {"repair": "it"}}, r"primary\.repair: 'it' is not valid"),
        ({"primary": {"rival": "wa"}}, r"primary\.when: missing"),
        ({"primary": PRIMARY | {"who": 1}}, r"primary: 'who' is an unknown key; expected one of rival, when"),
    ],
)
def test_a_wrong_primary_comparison_is_one_line(fields, message):
    with pytest.raises(InputError, match=rf"^a\.yaml: {message}[^\n]*$"):
        a_claim(**{"kind": "measurement", "checks": ["initial-gain"]} | fields)


def test_claims_on_one_check_name_the_same_comparison(monkeypatch):
    claims = [
        a_claim(kind="measurement", checks=["initial-gain"], primary=PRIMARY | {"repair": repair})
        for repair in ("none", "recalibrate")
    ]
    monkeypatch.setattr(claim_module, "register", lambda: dict(zip("ab", claims, strict=True)))
    with pytest.raises(InputError, match=r"^b\.yaml: primary: expected that of the other claim on init"):
        primaries()
    monkeypatch.setattr(claim_module, "register", lambda: {"a": claims[0], "b": claims[0]})
    assert primaries() == {"initial-gain": claims[0].primary}


# Verdicts.


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], "undecidable here"),
        (["holds", "holds"], "holds"),
        (["holds", "undecided"], "undecidable here"),
        (["holds", "violated"], "refuted"),
        (["undecided", "violated"], "refuted"),
        (["equal", "equal"], "equal"),
        (["equal", "violated"], "refuted"),
        (["equal", "holds"], "refuted"),
        (["equal", "undecided"], "undecidable here"),
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
        (["equal"], ["equal"], "equal"),
        (["equal", "holds"], ["holds"], "holds"),
        (["equal"], ["violated"], "refuted"),
        (["equal"], ["undecided"], "undecidable here"),
    ],
)
def test_a_measurement_is_judged_by_setting(first, second, expected):
    rows = [a_row(verdict, problem="x; one") for verdict in first]
    rows += [a_row(verdict, problem="x; two") for verdict in second]
    judgement = judged("measurement", *rows)
    assert judgement.verdict == expected
    if expected == "holds under conditions":
        assert "It holds in: (one)." in judgement.conditions and "(two)" in judgement.conditions


def test_controls_and_other_checks_do_not_bear_on_a_claim():
    control = Row("rate", "s", "q", "ring", 4, None, 2.0, 2.0, 2.0, 1.0, control=True)
    assert judged("theorem", control, a_row("holds")).verdict == "holds"
    rows = [a_row("holds", check="convergence.gossip"), a_row("violated", check="convergence.adam")]
    assert judged("theorem", *rows, checks=["convergence.gossip"]).verdict == "holds"
    assert judged("theorem", *rows, checks=["convergence.adam"]).verdict == "refuted"
    assert judged("theorem", *rows, checks=["mean"]).verdict == "undecidable here"


def paired(means, primary, examples=0.0, seeds=6, partition="IID"):
    """A row of seeds whose differences from their mean are 1 and -1."""
    said = ("initial-gain", "ahead of WA", "rival - DIMAT, points", "ring", 5, None)
    spread = numpy.resize([1.0, -1.0], seeds)
    return PairedRow(
        *(*said, means, means, means, 0.0),
        **{"seeds": seeds, "problem": f"d; {partition}", "differences": tuple(means + spread)},
        **{"primary": primary, "variance_of_test_set": examples},
    )


def test_the_primary_comparison_decides_and_the_others_are_told():
    rows = [paired(-9.0, True), paired(-0.1, True, partition="classes"), paired(9.0, False)]
    rows = list(corrected(rows))
    claim = a_claim(kind="measurement", checks=["initial-gain"], primary=PRIMARY)
    judgement = Judgement.of("a", claim, as_frame([*rows, a_row("holds")], EVIDENCE))
    assert judgement.verdict == "holds under conditions" and judgement.counterexample == ""
    assert judgement.numbers == "2 primary: 1 holds, 1 undecided; 1 secondary: 1 violated"
    said = "WA - DIMAT at the first merge, alike in averaging (repair: recalibrate)"
    assert judgement.primary.startswith(f"{said}, in points, n = 6 seeds: -9 [")
    assert "] (IID), -0.1 [" in judgement.primary
    assert "the verdict stays: 0 of 2 primary checks would become undecided." in judgement.conditions
    none = Judgement.of("a", claim, as_frame(rows[2:], EVIDENCE))
    assert (none.verdict, none.primary) == ("undecidable here", f"{said}: not in this study")


@pytest.mark.parametrize(("mean", "verdict"), [(-9.0, "holds"), (9.0, "refuted")])
def test_a_verdict_says_whether_it_survives_the_error_of_the_test_set(mean, verdict):
    claim = a_claim(kind="measurement", checks=["initial-gain"], primary=PRIMARY)
    for error, said in ((1.0, "the verdict stays: 0"), (100.0, "the verdict would be 'undecidable here': 1")):
        rows = list(corrected([paired(mean, True, error)]))
        judgement = Judgement.of("a", claim, as_frame(rows, EVIDENCE))
        assert judgement.verdict == verdict
        assert f"{said} of 1 primary checks would become undecided." in judgement.conditions


def test_few_seeds_are_the_reason_that_is_given():
    claim = a_claim(kind="measurement", checks=["initial-gain"], primary=PRIMARY)
    judgement = Judgement.of("a", claim, as_frame(list(corrected([paired(-9.0, True, seeds=5)])), EVIDENCE))
    assert judgement.verdict == "undecidable here"
    assert judgement.numbers == "1 primary: 1 undecided: 5 seeds, 6 wanted"


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


def test_only_exact_numbers_can_be_equal():
    exact = Row("c", "s", "q", "ring", 4, None, 1.0, 1.0, 1.0, 1.0, strict=True)
    wide = Row("c", "s", "q", "ring", 4, None, 1.0, 0.9, 1.0, 1.0, strict=True)
    loose = Row("c", "s", "q", "ring", 4, None, 1.0, 1.0, 1.0, 1.0)
    assert [row.verdict for row in (exact, wide, loose)] == ["equal", "undecided", "undecided"]


def test_table_has_a_record_for_each_claim():
    table = claims_table(judgements([as_frame([a_row("holds", check="spectral-gap")])]))
    assert table.set_index("id").verdict["tighter-gap"] == "holds"
    assert list(table.command) == [f"dimat claim {id}" for id in register()]


# In a terminal.


def test_a_claim_is_printed_with_its_smallest_counterexamples(dimat):
    listed = dimat("claim")
    assert all(re.search(rf"^{id}$", listed.stdout, re.M) for id in register())
    found = dimat("claim", "mean-kept")
    assert "verdict: refuted" in found.stdout and "W x =" in found.stdout
    assert "W x" in found.stdout and "P_02" in found.stdout  # three agents
    adam = dimat("claim", "rate-adam")
    assert "verdict: refuted" in adam.stdout and "3 agents, complete graph, losses (x - b)^2" in adam.stdout
    proved = dimat("claim", "matched-disagreement")
    assert "verdict: holds (6 checks" in proved.stdout and "follows (checked by sympy)" in proved.stdout
    wrong = dimat("claim", "everything")
    assert wrong.returncode == 2
    assert "everything: no such claim; expected one of bytes," in wrong.stderr
