"""Constants of problems against numerical search: never exceeded, and attained where they are exact."""

from dataclasses import replace

import numpy
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from theory.problems import Logistic, Quadratic, Separable

AGENTS = 4


def problem_of(kind, seed):
    generator = numpy.random.default_rng(seed)
    if kind == "quadratic":
        return Quadratic(generator.uniform(0.1, 3, 5), generator.standard_normal((AGENTS, 5)), sigma=0.7)
    if kind == "separable":
        amplitudes, phases = generator.uniform(0.1, 3, AGENTS), generator.uniform(-3, 3, AGENTS)
        return Separable(amplitudes, phases, 5, sigma=0.7)
    return Logistic.of_digits(AGENTS, sigma=0.7, images=30)


kinds = pytest.mark.parametrize("kind", ["quadratic", "separable", "logistic"])
settings_of_problems = given(
    st.sampled_from(["quadratic", "separable", "logistic"]), st.integers(0, 1000), st.floats(0.1, 10)
)


def at_one_point(problem, x):
    """Every agent's gradient at x (agents, dimensions)."""
    return problem.gradients(numpy.tile(x, (problem.agents, 1, 1)))[:, 0]


def spread(problem, x):
    gradients = at_one_point(problem, x)
    return ((gradients - gradients.mean(0)) ** 2).sum(1).mean()


def steepest_change(problem, smoothness, seed, scale):
    """The largest |grad f_i(x) - grad f_i(y)| / (L |x - y|) over agents and random pairs."""
    generator = numpy.random.default_rng(seed)
    x = scale * generator.standard_normal((200, problem.dimensions))
    y = x + 10 ** generator.uniform(-3, 1, (200, 1)) * generator.standard_normal(x.shape)
    change = [problem.gradients(numpy.tile(point, (problem.agents, 1, 1))) for point in (x, y)]
    return (
        numpy.linalg.norm(change[1] - change[0], axis=2) / numpy.linalg.norm(y - x, axis=1)
    ).max() / smoothness


@settings_of_problems
def test_no_pair_of_points_exceeds_the_smoothness(kind, seed, scale):
    problem = problem_of(kind, seed)
    assert steepest_change(problem, problem.smoothness, seed, scale) <= 1 + 1e-9


@settings_of_problems
def test_no_point_exceeds_the_heterogeneity(kind, seed, scale):
    problem = problem_of(kind, seed)
    for x in scale * numpy.random.default_rng(seed).standard_normal((50, problem.dimensions)):
        assert spread(problem, x) <= problem.heterogeneity**2 * (1 + 1e-9)


def attained_smoothness(problem):
    """The largest slope of an agent's gradient that is known where to look for."""
    h, points = 1e-5, numpy.zeros((problem.agents, problem.dimensions))
    if isinstance(problem, Quadratic):
        directions = numpy.tile(
            numpy.eye(problem.dimensions)[problem.curvature.argmax()], (problem.agents, 1)
        )
    elif isinstance(problem, Separable):
        points = numpy.tile(problem.phases[:, None], problem.dimensions)
        directions = numpy.ones_like(points) / problem.dimensions**0.5
    else:
        directions = numpy.linalg.svd(problem.images)[2][:, 0]
    ends = [problem.gradients((points + sign * h * directions)[:, None])[:, 0] for sign in (1, -1)]
    return (numpy.linalg.norm(ends[0] - ends[1], axis=1) / (2 * h)).max()


@kinds
@pytest.mark.parametrize("seed", range(3))
def test_smoothness_is_attained(kind, seed):
    problem = problem_of(kind, seed)
    assert attained_smoothness(problem) == pytest.approx(problem.smoothness, rel=1e-6)


def most_heterogeneous(problem, seed):
    """The largest root of the spread that a search from random points finds."""
    starts = 3 * numpy.random.default_rng(seed).standard_normal((5, problem.dimensions))
    return max(-minimize(lambda x: -spread(problem, x), start).fun for start in starts) ** 0.5


@pytest.mark.parametrize("seed", range(5))
def test_heterogeneity_is_attained_where_it_is_exact(seed):
    quadratic, separable = problem_of("quadratic", seed), problem_of("separable", seed)
    assert spread(quadratic, numpy.ones(5)) == pytest.approx(quadratic.heterogeneity**2)
    line = numpy.linspace(0, numpy.pi, 2001)  # its period, in all coordinates at once
    largest = max(spread(separable, numpy.full(5, t)) for t in line)
    assert largest == pytest.approx(separable.heterogeneity**2, rel=1e-5)


def test_heterogeneity_of_logistic_regression_is_a_bound_of_the_right_size():
    problem = problem_of("logistic", 0)
    assert 0.4 < most_heterogeneous(problem, 0) / problem.heterogeneity <= 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["quadratic", "separable"])
def test_smaller_constants_are_refuted(kind, seed):
    problem = problem_of(kind, seed)
    assert attained_smoothness(problem) > 0.99 * problem.smoothness
    assert most_heterogeneous(problem, seed) > 0.99 * problem.heterogeneity


@kinds
@pytest.mark.parametrize("seed", range(3))
def test_gradients_are_those_of_the_loss(kind, seed):
    problem = problem_of(kind, seed)
    x, h = numpy.random.default_rng(seed).standard_normal(problem.dimensions), 1e-5
    axes = h * numpy.eye(problem.dimensions)
    slopes = (problem.gap(x + axes) - problem.gap(x - axes)) / (2 * h)
    assert problem.gradient(x[None])[0] == pytest.approx(slopes, abs=1e-8)
    assert at_one_point(problem, x).mean(0) == pytest.approx(slopes, abs=1e-8)


@kinds
@pytest.mark.parametrize("seed", range(2))
def test_the_gap_vanishes_at_the_minimum_and_nowhere_falls_below(kind, seed):
    problem = problem_of(kind, seed)
    starts = numpy.random.default_rng(seed).standard_normal((4, problem.dimensions))
    ends = [minimize(lambda x: problem.gap(x[None])[0], start, tol=1e-12).fun for start in starts]
    assert -1e-12 < min(ends) < 1e-7


def test_the_minimum_of_logistic_regression_is_certified_and_that_of_another_solver():
    problem = problem_of("logistic", 0)
    assert problem.certificate < 1e-25
    inputs, odd = problem.images.reshape(-1, problem.dimensions), problem.odd.flatten()
    other = LogisticRegression(C=1 / (len(odd) * problem.decay), fit_intercept=False, tol=1e-10)
    assert problem.minimizer == pytest.approx(other.fit(inputs, odd).coef_[0], abs=1e-5)
    early = replace(problem)
    early.__dict__["minimizer"] = problem.minimizer + 0.1  # a solver that stopped too soon says so
    assert early.certificate > problem.gap(early.minimizer[None])[0]


def test_digits_are_dealt_by_kind():
    problem = Logistic.of_digits(5, sigma=0.0, images=40)
    assert problem.images.shape == (5, 40, 64)
    assert (problem.images**2).sum(2).mean() == pytest.approx(1)
    assert problem.odd.mean(1) == pytest.approx([0, 0, problem.odd[2].mean(), 1, 1])
    pixels, digits = load_digits(return_X_y=True)
    known = {
        tuple(numpy.round(image / (image @ image) ** 0.5, 9)): digit
        for image, digit in zip(pixels, digits, strict=True)
    }
    for images, odd in zip(problem.images, problem.odd, strict=True):
        found = [known[tuple(numpy.round(image / (image @ image) ** 0.5, 9))] for image in images]
        assert [digit % 2 for digit in found] == list(odd) and len(set(found)) <= 4


@kinds
def test_noise_has_its_variance_in_every_draw_and_no_mean(kind):
    problem = problem_of(kind, 0)
    noise = next(problem.noises(3001, numpy.random.default_rng(0)))
    assert noise.shape == (AGENTS, 3001, problem.dimensions)
    assert (noise**2).sum(2) == pytest.approx(numpy.full((AGENTS, 3001), 0.49))
    # a mean of 3001 independent signs: within 5 standard errors
    assert abs(noise.mean(1)).max() < 5 * 0.7 / problem.dimensions**0.5 / 3001**0.5
    flat = noise.reshape(AGENTS, -1)
    correlation = numpy.corrcoef(flat)[numpy.triu_indices(AGENTS, 1)]
    assert abs(correlation).max() < 5 / flat.shape[1] ** 0.5


@kinds
def test_noise_does_not_depend_on_how_much_is_drawn_at_a_time(kind, monkeypatch):
    draws = []
    for at_a_time in (1, 3000):
        monkeypatch.setattr("theory.problems.problem.DRAWN", at_a_time)
        noises = problem_of(kind, 0).noises(7, numpy.random.default_rng(0))
        draws.append(numpy.stack([next(noises) for _ in range(20)]))
    assert numpy.array_equal(*draws)
    assert not numpy.array_equal(draws[0][0], draws[0][1])


def test_heterogeneity_of_separable_losses_as_an_identity():
    """Im(w* e^{it})^2 = (|w|^2 - Re(w*^2 e^{2it})) / 2, of which the docstring takes the mean and maximum."""
    t = sympy.Symbol("t", real=True)
    w = sympy.Symbol("p", real=True) + sympy.I * sympy.Symbol("q", real=True)
    wave = sympy.conjugate(w) * sympy.exp(sympy.I * t)
    left = sympy.im(wave.expand(complex=True)) ** 2
    right = (sympy.Abs(w) ** 2 - sympy.re((wave**2).expand(complex=True))) / 2
    assert sympy.simplify(left - right) == 0


def test_no_permutation_of_coordinates_changes_separable_losses():
    problem, generator = problem_of("separable", 0), numpy.random.default_rng(0)
    x, order = generator.standard_normal((AGENTS, 2, 5)), generator.permutation(5)
    assert problem.gap(x[0][:, order]) == pytest.approx(problem.gap(x[0]))
    assert problem.gradients(x[..., order]) == pytest.approx(problem.gradients(x)[..., order])
    ordered = problem_of("quadratic", 0)
    assert ordered.gap(x[0][:, order]) != pytest.approx(ordered.gap(x[0]))
