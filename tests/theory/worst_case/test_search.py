"""Brackets that are searched: against closed forms, other units, and PEPit."""

import numpy
import pytest
from flint import fmpq

from dimat.errors import InputError
from dimat.topology import Ring
from theory.worst_case.case import ONE, ZERO, Case, exact
from theory.worst_case.own_case import case_of, own_case, rounded
from theory.worst_case.search import proved
from theory.worst_case.stored import LAZY, rational_mixing

LINES = {"L": 1.0, "kappa": 1.0, "K": 2.0, "Xi_0": 1.0}


def bracket(case):
    found = proved(case, "two")
    return float(found.low), float(found.high)


@pytest.mark.parametrize(
    "rule", ["gossip", "adapt_then_combine", "local_steps", "momentum", "gradient_tracking"]
)
def test_before_the_first_step_nothing_depends_on_the_method(rule):
    case = Case(rule, LAZY, 1, fmpq(1, 8), ONE, fmpq(1, 2))
    low, high = bracket(case)
    assert low <= 2 <= high < low + 1e-4  # |grad f|^2 <= 2 L (f - f*), which a parabola attains
    low, high = bracket(Case(rule, LAZY, 1, fmpq(1, 8), ONE, fmpq(1, 2), quantity="disagreement"))
    assert low <= 0.5 <= high < low + 1e-4


@pytest.mark.parametrize("steps", [2, 3])
def test_equal_agents_descend_as_one(steps):
    """With a step of 1 / L, gradients may stay as they are: f falls by alpha |grad f|^2 / 2 a step.

    So (alpha K / 2) mean |grad f|^2 <= gap; a line whose last point lies 1 above the minimum attains nearly
    that, as the gradient there costs nothing more: the mean is at most 2 / K.
    """
    case = Case("adapt_then_combine", LAZY, steps, ONE, ZERO, ZERO)
    low, high = bracket(case)
    assert low <= 2 / steps <= high + 1e-9 and high < low + 1e-4


def test_units_cancel():
    two = numpy.array([[0.75, 0.25], [0.25, 0.75]])
    case, unit = case_of("gossip", two, "gradient", LINES)
    scaled = {"L": 4.0, "kappa": 6.0, "K": 2.0, "Xi_0": 9 / 4, "gap_0": 9.0, "alpha": 0.0625}
    other, times = case_of("gossip", two, "gradient", scaled)
    assert case == other and (unit, times) == (1, 9)


def test_larger_constants_are_the_unit():
    case, unit = case_of(
        "gossip", numpy.array([[0.75, 0.25], [0.25, 0.75]]), "gradient", LINES | {"Xi_0": 50.0}
    )
    assert (case.gap, case.disagreement, unit) == (fmpq(1, 50), ONE, 50)
    low, high = bracket(case)
    assert 0 < low < high < 1.2 * low


def test_what_is_printed_holds():
    assert rounded(1.23456789, up=True) == pytest.approx(1.23457, rel=1e-12)
    assert rounded(1.23456789, up=False) == pytest.approx(1.23456, rel=1e-12)
    assert rounded(-1.23456789e-7, up=True) == pytest.approx(-1.23456e-7, rel=1e-12)
    assert rounded(0.0, up=True) == 0
    two = numpy.array([[0.75, 0.25], [0.25, 0.75]])
    lines = own_case("gossip", "two", two, "gradient", LINES).splitlines()
    assert "at most 1.85892, and for some losses at least 1.85891: both proved exactly" in lines[3]
    assert "at most 7 by the derivation gossip: loose by at most 3.7656" in lines[4]
    beyond = own_case("gossip", "two", two, "gradient", LINES | {"alpha": 0.5})
    assert "the derivation, which does not cover this step size" in beyond


@pytest.mark.parametrize(
    ("rule", "agents", "changed", "message"),
    [
        ("adam", 4, {}, "worst-case: 'adam'; expected one of gossip, adapt_then_combine, "),
        (
            "gossip",
            8,
            {"K": 5},
            "N, K: 8 agents take 5 steps; expected at most 8 agents, 10 steps and 32 grad",
        ),
        ("gossip", 2, {"K": 11}, "N, K: 2 agents take 11 steps; .* which take about half a minute"),
        ("momentum", 4, {}, "beta: missing; momentum needs values of: L, kappa, K, beta"),
        ("momentum", 4, {"beta": 1.0}, "beta: 1, expected below 1"),
        ("local_steps", 4, {"tau": 2, "K": 3}, "K: 3; expected a multiple of tau = 2"),
        ("gradient_tracking", 4, {}, "alpha: missing; gradient_tracking needs values of: L, kappa, K, alpha"),
        ("gossip", 4, {"L": 0.0}, "L: 0; expected a number above 0"),
        ("gossip", 4, {"gap_0": 0.0}, "gap_0: 0; expected a number above 0"),
    ],
)
def test_settings_that_have_no_bracket(rule, agents, changed, message):
    with pytest.raises(InputError, match=message):
        own_case(rule, "ring", Ring().mixing_matrix(agents), "gradient", LINES | changed)


def test_agents_who_never_agree_have_none():
    with pytest.raises(InputError, match=r"N: sqrt\(rho\) is 1"):
        own_case("gossip", "none", numpy.eye(3), "gradient", LINES)


def test_a_solver_that_fails_gives_no_number(monkeypatch):
    """What it says is worth nothing here: multipliers and vectors of noise."""
    from theory.worst_case import search

    generator = numpy.random.default_rng(0)

    def solve(conditions, push, margin):
        dimension = conditions.dimension
        return (
            generator.uniform(0, 1e-3, len(conditions.conditions)),
            numpy.eye(dimension),
            generator.standard_normal(conditions.values),
        )

    monkeypatch.setattr(search, "solve", solve)
    with pytest.raises(
        InputError, match="no bracket can be given: no upper end was found: the slack matrix is not"
    ):
        own_case("gossip", "ring", Ring().mixing_matrix(4), "gradient", LINES)


def test_the_command_names_its_options(dimat):
    arguments = ["worst-case", "--graph", "ring", "--agents", "8"]
    assert "--agents, --steps: N, K: 8 agents take 9 steps" in dimat(*arguments, "--steps", 9).stderr
    assert "--steps: K: missing" in dimat(*arguments).stderr
    done = dimat("worst-case", "--graph", "ring", "--agents", 3, "--steps", 1)
    assert "both proved exactly" in done.stdout


def test_fractions_are_those_of_the_digits():
    assert exact(0.1) == fmpq(1, 10) and exact("2/7") == fmpq(2, 7)
    rows = rational_mixing(Ring().mixing_matrix(5))
    assert all(sum(row, ZERO) == 1 for row in rows) and rows[0][1] == fmpq(1, 3)
    odd = numpy.array([[0.7, 0.3], [0.3, 0.7]]) ** 0.5
    assert all(sum(row, ZERO) == 1 for row in rational_mixing(odd))


@pytest.mark.parametrize("rule", ["gossip", "adapt_then_combine"])
def test_pepit_finds_the_same(rule):
    pepit = pytest.importorskip("PEPit", reason="an independent check, where PEPit is installed")
    functions = pytest.importorskip("PEPit.functions")
    problem = pepit.PEP()
    losses = [problem.declare_function(functions.SmoothFunction, L=1.0) for _ in range(2)]
    points = [problem.set_initial_point() for _ in losses]
    least, measured = pepit.Expression(), 0
    for step in range(2):
        mean = (points[0] + points[1]) / 2
        at_mean = [loss.oracle(mean) for loss in losses]
        slope = (at_mean[0][0] + at_mean[1][0]) / 2
        value = (at_mean[0][1] + at_mean[1][1]) / 2
        problem.add_constraint(sum((each[0] - slope) ** 2 for each in at_mean) / 2 <= 1)
        problem.add_constraint(least + slope**2 / 2 <= value)
        measured = measured + slope**2 / 2
        if step:
            break
        problem.set_initial_condition(sum((point - mean) ** 2 for point in points) / 2 <= 1)
        problem.set_initial_condition(value - least <= 1)
        moves = [loss.gradient(point) for loss, point in zip(losses, points, strict=True)]
        if rule == "gossip":
            points = [(3 * a + b) / 4 - g / 4 for a, b, g in zip(points, points[::-1], moves, strict=True)]
        else:
            points = [a - g / 3 for a, g in zip(points, moves, strict=True)]
            points = [(3 * a + b) / 4 for a, b in zip(points, points[::-1], strict=True)]
    problem.set_performance_metric(measured)
    theirs = problem.solve(wrapper="cvxpy", solver="CLARABEL", verbose=0)
    size = fmpq(1, 4) if rule == "gossip" else fmpq(1, 3)
    low, high = bracket(Case(rule, LAZY, 2, size, ONE, ONE))
    assert low - 1e-5 <= theirs <= high + 1e-5
