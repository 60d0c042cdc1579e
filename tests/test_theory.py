"""Derived bounds against hand-written ones and simulations; corrupted versions must be caught."""

from dataclasses import replace

import numpy
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from dimat.graphs import Complete, Ring, TwoHub
from dimat.graphs import second_eigenvalue as numeric
from theory import audit
from theory.gossip_bound import L, Xi, alpha, bound, derivation, e, kappa, largest_step_size, s, sigma
from theory.quadratic import Quadratic, run_gossip
from theory.spectra import second_eigenvalue

GRAPHS = [Ring(name="ring"), Complete(name="complete"), TwoHub(name="two_hub")]
positive = st.floats(1e-3, 1e3)


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
@pytest.mark.parametrize("agents", [4, 5, 6, 7, 12, 31])
@pytest.mark.parametrize("weights", ["metropolis", "uniform"])
def test_closed_form_spectra(graph, agents, weights):
    graph = graph.model_copy(update={"weights": weights})
    assert numeric(graph.mixing_matrix(agents)) == pytest.approx(
        float(second_eigenvalue(graph, agents)), abs=1e-12
    )


@pytest.mark.parametrize("agents", [1, 2, 3])
def test_closed_form_of_small_rings(agents):
    ring = GRAPHS[0]
    assert numeric(ring.mixing_matrix(agents)) == pytest.approx(
        float(second_eigenvalue(ring, agents)), abs=1e-12
    )


@pytest.mark.parametrize("number", range(4))
def test_every_step_follows(number):
    assert derivation()[number].follows()


@pytest.mark.parametrize("number", range(4))
def test_a_smaller_right_side_does_not_follow(number):
    step = derivation()[number]
    assert not replace(step, right=step.right * sympy.Rational(9, 10)).follows()


@pytest.mark.parametrize(
    ("number", "corrupt"),
    [
        (1, lambda right: right.subs(kappa, kappa / 2)),  # heterogeneity underrated
        (1, lambda right: right.subs(s, s**2)),  # a better contraction than Pi has
        (3, lambda right: right.subs(sigma, 0)),  # noise forgotten
    ],
)
def test_a_corrupted_statement_does_not_follow(number, corrupt):
    step = derivation()[number]
    assert not replace(step, right=corrupt(step.right)).follows()


def test_another_young_parameter_does_not_follow():
    step = derivation()[1]
    theta = 2 * (1 / s - 1)
    left = (1 + theta) * s**2 * Xi + (1 + 1 / theta) * alpha**2 * (2 * L**2 * Xi + 2 * kappa**2 - e)
    assert not replace(step, left=left + alpha**2 * sigma**2).follows()


@given(
    positive,
    positive,
    positive,
    positive,
    st.integers(1, 64),
    st.integers(1, 10**6),
    st.floats(0, 0.99),
    positive,
    positive,
)
def test_bound_is_the_sum_written_by_hand(
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
    found = bound(step, smooth, noise, spread, agents, steps, root, gap, disagreement)
    assert found == pytest.approx(expected, rel=1e-9)


@settings(max_examples=30)
@given(st.sampled_from(GRAPHS), st.integers(4, 10), st.floats(0.05, 1), st.integers(0, 10**6))
def test_consensus_recursion_on_random_points(graph, agents, fraction, seed):
    """Without noise the recursion holds for each step, not only on average."""
    generator = numpy.random.default_rng(seed)
    problem = Quadratic(generator.uniform(0.1, 3, 4), generator.standard_normal((agents, 4)), sigma=0.0)
    mixing = graph.mixing_matrix(agents)
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
    x = generator.standard_normal(6)
    quiet = replace(problem, sigma=0.0).stochastic_gradients(numpy.tile(x, (5, 1)), generator)
    assert quiet.mean(0) == pytest.approx(problem.gradient(x))
    assert ((quiet - quiet.mean(0)) ** 2).sum(1).mean() == pytest.approx(problem.heterogeneity**2)
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
    x, total = start, 0.0
    for _ in range(7):
        total += (problem.gradient(x.mean(0)) ** 2).sum()
        x = mixing @ x - 0.1 * (2.0 * (x - problem.optima))
    run = run_gossip(problem, mixing, 0.1, 7, 2, generator, start)
    assert run.mean_squared_gradient == pytest.approx([total / 7] * 2, rel=1e-12)


def test_audit_finds_no_violation():
    rows = audit.audit()
    assert len(rows) == 54 and all(row.holds for row in rows)


def test_every_control_is_rejected():
    assert audit.controls() == dict.fromkeys(audit.controls(), False)


def test_a_control_that_passes_breaks_the_audit(monkeypatch):
    monkeypatch.setattr(audit, "controls", lambda: {"made to pass": True})
    with pytest.raises(audit.AuditError, match="made to pass"):
        audit.audit()
