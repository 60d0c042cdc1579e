"""The register of claims, and the verdicts that rows give them."""

import re
from dataclasses import replace

import numpy
import pytest
import yaml

from dimat.errors import InputError
from theory.claims.checks import IDS
from theory.claims.claim import claim_of, register
from theory.claims.judgement import Judgement, claims_table, judgements, without_common_parts
from theory.report import as_frame
from theory.rows import Row


def a_row(verdict, check="rate", statement="s", problem="p", agents=4):
    measured, bound = {"holds": (1.0, 2.0), "violated": (2.0, 1.0), "undecided": (1.0, numpy.nan)}[verdict]
    numbers = (measured, measured, measured, bound)
    return Row(check, statement, "q", "ring", agents, None, *numbers, problem=problem)


def a_claim(**fields):
    content = {"statement": "s", "where": "w", "kind": "theorem", "assumptions": [], "checks": ["rate"]}
    return claim_of(yaml.safe_dump(content | fields), "a.yaml")


def judged(kind, *rows, **fields):
    return Judgement.of("a", a_claim(kind=kind, **fields), as_frame(list(rows)))


# The register.


def test_every_claim_rests_on_checks_and_every_check_bears_on_a_claim():
    claims = register()
    assert all(claim.checks and claim.assumptions and claim.where for claim in claims.values())
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


# Verdicts.


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


def test_controls_and_other_checks_do_not_bear_on_a_claim():
    control = Row("rate", "s", "q", "ring", 4, None, 2.0, 2.0, 2.0, 1.0, control=True)
    assert judged("theorem", control, a_row("holds")).verdict == "holds"
    rows = [a_row("holds", check="convergence.gossip"), a_row("violated", check="convergence.adam")]
    assert judged("theorem", *rows, checks=["convergence.gossip"]).verdict == "holds"
    assert judged("theorem", *rows, checks=["convergence.adam"]).verdict == "refuted"
    assert judged("theorem", *rows, checks=["mean"]).verdict == "undecidable here"


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
    proved = dimat("claim", "matched-disagreement")
    assert "verdict: holds (6 checks" in proved.stdout and "follows (checked by sympy)" in proved.stdout
    wrong = dimat("claim", "everything")
    assert wrong.returncode == 2
    assert "everything: no such claim; expected one of bytes," in wrong.stderr
