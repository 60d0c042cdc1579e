"""Derived bounds against hand-written ones and simulations; corrupted versions must be caught."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dimat.graphs import Complete, Ring, TwoHub
from dimat.graphs import second_eigenvalue as numeric
from theory import audit as audit_module
from theory.audit import AuditError, audit
from theory.checks import Row, interval
from theory.commands import commands
from theory.controls import controls
from theory.gossip_bound import (
    BELOW_1,
    K,
    L,
    Xi,
    Xi_0,
    alpha,
    bound,
    derivation,
    disagreement_bound,
    gap_0,
    kappa,
    largest_step_size,
    s,
    sigma,
    terms,
    theta,
)
from theory.quadratic import Quadratic, run_gossip
from theory.report import COLUMNS, as_csv, as_table, bound_latex, derivation_text, summary

QUICK = Path(__file__).parents[1] / "config" / "quick.yaml"
GRAPHS = [Ring(name="ring"), Complete(name="complete"), TwoHub(name="two_hub")]
STEPS = {step.name: step for step in derivation()}
positive = st.floats(1e-3, 1e3)


@pytest.fixture(scope="module")
def rows():
    return audit()


@pytest.mark.parametrize("name", STEPS)
def test_every_step_follows(name):
    assert STEPS[name].follows()


@pytest.mark.parametrize("name", [name for name in STEPS if STEPS[name].right != 0])
def test_a_smaller_right_side_does_not_follow(name):
    assert not replace(STEPS[name], right=STEPS[name].right * sympy.Rational(9, 10)).follows()


@pytest.mark.parametrize(
    ("name", "corrupt"),
    [
        ("1 descent", lambda right: right.subs(sigma, 0)),
        ("2a Young's inequality", lambda right: right.subs(theta, theta / 2)),
        ("2 consensus", lambda right: right.subs(kappa, kappa / 2)),
        ("2 consensus", lambda right: right.subs(s, s**2)),  # a better contraction than Pi has
        ("3b induction", lambda right: right.subs(Xi_0, Xi_0 / 2)),
        ("3 sum of disagreements", lambda right: right.subs(K, K / 2)),
        *(("4 bound", lambda right, term=term: right - term) for term in terms().values()),
    ],
)
def test_a_corrupted_statement_does_not_follow(name, corrupt):
    step = STEPS[name]
    assert corrupt(step.right) != step.right
    assert not replace(step, right=corrupt(step.right)).follows()


@pytest.mark.parametrize("factor", [sympy.Rational(1, 2), 2])
def test_another_young_parameter_does_not_follow(factor):
    step, young = STEPS["2b contraction"], factor * (1 / s - 1)
    spread = step.right.coeff(alpha**2) * (1 - s)
    left = (1 + young) * s**2 * Xi + (1 + 1 / young) * alpha**2 * spread
    assert not replace(step, left=left).follows()


@pytest.mark.parametrize(
    ("name", "too_large"), [("1 descent", 2 / L), ("2 consensus", (1 - s) / L)], ids=["descent", "consensus"]
)
def test_a_larger_step_size_does_not_follow(name, too_large):
    step = STEPS[name]
    assumptions = [(symbol, new) for symbol, new in step.assumptions if symbol not in (alpha, s)]
    assert not replace(step, assumptions=(*assumptions, (alpha, too_large), BELOW_1)).follows()


constants = (positive,) * 4 + (
    st.integers(1, 64),
    st.integers(1, 10**6),
    st.floats(0, 0.99),
    positive,
    positive,
)


@given(*constants)
def test_bounds_are_those_written_by_hand(
    step, smooth, noise, spread, agents, steps, root, gap, disagreement
):
    expected = (
        2 * gap / (step * steps)
        + step * smooth * noise**2 / agents
        + smooth**2
        * (
            2 * disagreement / ((1 - root) * steps)
            + 4 * step**2 * spread**2 / (1 - root) ** 2
            + 2 * step**2 * noise**2 / (1 - root)
        )
    )
    arguments = (step, smooth, noise, spread, agents, steps, root, gap, disagreement)
    assert bound(*arguments) == pytest.approx(expected, rel=1e-9)
    through_disagreement = expected - 2 * gap / (step * steps) - step * smooth * noise**2 / agents
    assert smooth**2 * disagreement_bound(*arguments) == pytest.approx(
        through_disagreement, rel=1e-9, abs=1e-9 * expected
    )


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(GRAPHS), st.integers(3, 10), st.floats(0.05, 1), st.integers(0, 10**6))
def test_consensus_recursion_on_random_points(graph, agents, fraction, seed):
    """On a random doubly stochastic matrix, too; without noise it holds step by step, not only on average."""
    generator = numpy.random.default_rng(seed)
    problem = Quadratic(generator.uniform(0.1, 3, 4), generator.standard_normal((agents, 4)), sigma=0.0)
    permutation = numpy.eye(agents)[generator.permutation(agents)]
    share = generator.uniform(0, 0.5)
    shuffled = (1 - share) * graph.mixing_matrix(agents) + share * (permutation + permutation.T) / 2
    for mixing in (graph.mixing_matrix(agents), shuffled):
        root = numeric(mixing)
        step = fraction * largest_step_size(problem.smoothness, root)
        x = 5 * generator.standard_normal((agents, 4))
        after = mixing @ x - step * problem.stochastic_gradients(x, generator)
        spread = [((point - point.mean(0)) ** 2).sum(1).mean() for point in (x, after)]
        limit = (1 + root) / 2 * spread[0] + step**2 * 2 * problem.heterogeneity**2 / (1 - root)
        assert spread[1] <= limit * (1 + 1e-9)


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
    wrong = replace(STEPS["4 bound"], right=gap_0)
    monkeypatch.setattr(audit_module, "derivation", lambda: [STEPS["1 descent"], wrong])
    with pytest.raises(AuditError, match=r"does not follow at: 4 bound$"):
        audit()


def test_report(rows):
    head, *lines = csv.reader(as_csv(rows).splitlines())
    assert tuple(head) == COLUMNS
    assert len(lines) == len(rows) and {line[-1] for line in lines} == {"holds", "rejected"}
    assert len(as_table(rows).splitlines()) == len(rows) + 1
    assert list(summary(rows))[-1] == "controls: 8, 8 rejected"
    assert derivation_text().count("follows (checked by sympy)") == len(STEPS)
    assert "NOT FOLLOW" not in derivation_text()
    assert bound_latex().count(r"\underbrace") == len(terms())


def test_commands(tmp_path, rows):
    done = CliRunner().invoke(commands, ["audit", str(QUICK), "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert [path.name for path in (tmp_path / "quick").iterdir()] == ["audit.csv"]
    assert (tmp_path / "quick" / "audit.csv").read_text() == as_csv(rows)
    assert done.stdout == "" and "rejected" in done.stderr
    assert CliRunner().invoke(commands, ["derive", "--latex"]).stdout.startswith(r"\frac{1}{K}")
