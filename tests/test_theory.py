"""Derived bounds against simulations; corrupted versions must be caught."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
from typer.testing import CliRunner

from dimat.graphs import Complete, Ring, TwoHub
from theory import audit as audit_module
from theory.audit import AuditError, audit
from theory.checks import Row, interval
from theory.commands import commands
from theory.controls import controls
from theory.derivations import GOSSIP
from theory.quadratic import Quadratic, run_gossip
from theory.report import COLUMNS, as_csv, as_table, summary

QUICK = Path(__file__).parents[1] / "config" / "quick.yaml"
GRAPHS = [Ring(name="ring"), Complete(name="complete"), TwoHub(name="two_hub")]


@pytest.fixture(scope="module")
def rows():
    return audit()


def test_constants_of_quadratics():
    generator = numpy.random.default_rng(0)
    problem = Quadratic(generator.uniform(0.1, 3, 6), generator.standard_normal((5, 6)), sigma=0.7)
    x, y = generator.standard_normal((2, 6))
    quiet = replace(problem, sigma=0.0).stochastic_gradients(numpy.tile(x, (5, 1)), generator)
    assert quiet.mean(0) == pytest.approx(problem.gradient(x))
    assert ((quiet - quiet.mean(0)) ** 2).sum(1).mean() == pytest.approx(problem.heterogeneity**2)
    steepest = numpy.eye(6)[problem.curvature.argmax()]  # L is attained there, and nowhere exceeded
    change = [numpy.linalg.norm(problem.gradient(x + d) - problem.gradient(x)) for d in (steepest, y)]
    assert change[0] == pytest.approx(problem.smoothness)
    assert change[1] <= problem.smoothness * numpy.linalg.norm(y)
    differences = [
        (problem.gap(x + 1e-6 * axis) - problem.gap(x - 1e-6 * axis)) / 2e-6 for axis in numpy.eye(6)
    ]
    assert differences == pytest.approx(problem.gradient(x), rel=1e-6)
    assert problem.gap(problem.optima.mean(0)) == 0
    noise = (
        problem.stochastic_gradients(numpy.zeros((20000, 5, 6)), generator)
        + problem.curvature * problem.optima
    )
    # variance of a mean of 100,000 squared norms: within 4 of its standard errors
    assert (noise**2).sum(-1).mean() == pytest.approx(0.49, abs=4 * 0.49 * (2 / 6 / 1e5) ** 0.5)


def test_gossip_without_noise_follows_the_matrix_recursion():
    generator = numpy.random.default_rng(1)
    problem = Quadratic(numpy.full(3, 2.0), generator.standard_normal((4, 3)), sigma=0.0)
    mixing, start = GRAPHS[0].mixing_matrix(4), generator.standard_normal((4, 3))
    x, gradients, disagreements = start, 0.0, 0.0
    for _ in range(7):
        gradients += (problem.gradient(x.mean(0)) ** 2).sum()
        disagreements += ((x - x.mean(0)) ** 2).sum() / 4
        x = mixing @ x - 0.1 * (2.0 * (x - problem.optima))
    run = run_gossip(problem, mixing, 0.1, 7, 2, generator, start)
    assert run.mean_squared_gradient == pytest.approx([gradients / 7] * 2, rel=1e-12)
    assert run.mean_disagreement == pytest.approx([disagreements / 7] * 2, rel=1e-12)


def test_interval_is_that_of_student():
    # t(0.975, 3) = 3.18245 from tables; the standard deviation of 1, 2, 3, 4 is sqrt(5/3)
    half = 3.18245 * (5 / 3) ** 0.5 / 2
    assert interval(numpy.array([1.0, 2, 3, 4])) == pytest.approx((2.5, 2.5 - half, 2.5 + half), rel=1e-5)


@pytest.mark.parametrize(
    ("limit", "verdicts"),
    [
        (4.0, ("holds", "accepted")),
        (3.0, ("undecided", "undecided")),
        (2.0, ("undecided", "undecided")),
        (0.5, ("violated", "rejected")),
        (float("nan"), ("undecided", "undecided")),
    ],
)
def test_verdict_looks_at_the_whole_interval(limit, verdicts):
    row = Row("claim", "statement", "quantity", "ring", 4, 1, 2.0, 1.0, 3.0, limit)
    assert (row.verdict, replace(row, control=True).verdict) == verdicts


def test_audit_finds_no_violation(rows):
    counts = {claim: 0 for claim in ("spectrum", "contraction", "convergence", "disagreement")}
    for row in rows:
        if not row.control:
            counts[row.claim] += 1
            assert row.verdict == "holds", row
    assert counts == {"spectrum": 9, "contraction": 9, "convergence": 36, "disagreement": 36}
    assert all(row.tightness > 1 for row in rows if row.seeds and not row.control)


def test_every_control_is_rejected_by_itself(rows):
    corrupted = [row for row in rows if row.control]
    assert len(corrupted) == len(controls()) == 8
    assert {row.verdict for row in corrupted} == {"rejected"}
    assert {row.claim for row in corrupted} == {"contraction", "convergence", "disagreement"}


@pytest.mark.parametrize("limit", [1e9, 1.0], ids=["accepted", "undecided"])
def test_one_control_that_is_not_rejected_breaks_the_audit(monkeypatch, limit):
    row = controls()[0]
    spared = replace(row, low=0.0, high=2.0, bound=limit, statement="made to pass")
    monkeypatch.setattr(audit_module, "controls", lambda: [row, spared, row])
    with pytest.raises(AuditError, match=r"not rejected by its check: contraction, ring, made to pass$"):
        audit()


def test_a_step_that_does_not_follow_breaks_the_audit(monkeypatch):
    first, *_, last = GOSSIP.steps
    wrong = replace(GOSSIP, steps=(first, replace(last, right=last.right / 2)))
    monkeypatch.setattr(audit_module, "DERIVATIONS", {"gossip": wrong})
    with pytest.raises(AuditError, match=r"does not follow at: gossip, bound$"):
        audit()


def test_report(rows):
    head, *lines = csv.reader(as_csv(rows).splitlines())
    assert tuple(head) == COLUMNS
    assert len(lines) == len(rows) and {line[-1] for line in lines} == {"holds", "rejected"}
    assert len(as_table(rows).splitlines()) == len(rows) + 1
    assert list(summary(rows))[-1] == "controls: 8, 8 rejected"


def test_commands(tmp_path, rows):
    done = CliRunner().invoke(commands, ["audit", str(QUICK), "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert [path.name for path in (tmp_path / "quick").iterdir()] == ["audit.csv"]
    assert (tmp_path / "quick" / "audit.csv").read_text() == as_csv(rows)
    assert done.stdout == "" and "rejected" in done.stderr
