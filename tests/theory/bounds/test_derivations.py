"""Derivations: every step follows, nothing stronger does; bounds are compared with slow references."""

from dataclasses import replace
from math import inf, nan

import numpy
import pytest
import sympy
import typst
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dimat.errors import InputError
from dimat.topology import Complete, Ring, TwoHub, second_eigenvalue
from theory.bounds.derivations import CLASSICAL, DERIVATIONS, SHARPER
from theory.bounds.derivations.derivation import BELOW
from theory.bounds.derivations.published import PUBLISHED_RATES
from theory.bounds.derivations.shared import ROOTS
from theory.bounds.derivations.symbols import K, L, M, N, Xi, alpha, beta, kappa, m, s, sigma, tau
from theory.bounds.derivations.text import derivation_text, rate_text
from theory.commands import commands
from theory.problems import Quadratic

GOSSIP, ADAPT, LOCAL, MOMENTUM, ADAM = CLASSICAL
GRAPHS = [Ring(), Complete(), TwoHub()]
STEPS = [(each.key, step, each.before(step)) for each in CLASSICAL for step in each.steps]
STEPS += [("koloskova", step, {}) for step in PUBLISHED_RATES["koloskova"].comparison]
every_step = pytest.mark.parametrize(
    ("step", "before"),
    [pytest.param(step, before, id=f"{key}, {step.name}") for key, step, before in STEPS],
)
every_derivation = pytest.mark.parametrize("derivation", DERIVATIONS.values(), ids=DERIVATIONS)
CONSTANTS = {
    **{
        "alpha": 1e-4,
        "L": 2.0,
        "sigma": 0.5,
        "kappa": 0.3,
        "N": 4,
        "K": 30,
        "s": 0.5,
        "gap_0": 1.0,
        "Xi_0": 0.7,
    },
    **{"tau": 3, "beta": 0.9, "m": 0.5, "M": 2.0},
}


def constants_of(derivation, **changed):
    return {str(symbol): CONSTANTS[str(symbol)] for symbol in derivation.constants()} | changed


def named(derivation, name):
    return next(step for step in derivation.steps if step.name == name)


def test_comparisons_follow():
    """Derivations are certified as a whole in test_checker.py."""
    for step in PUBLISHED_RATES["koloskova"].comparison:
        assert step.problem({}) == ""


@every_step
def test_a_smaller_right_side_does_not_follow(step, before):
    assert not replace(step, right=step.right * sympy.Rational(9, 10)).follows(before)


@pytest.mark.parametrize(
    ("step", "before"),
    [
        pytest.param(step, before, id=f"{key}, {step.name}")
        for key, step, before in STEPS
        if "adam" not in key
    ],
)
def test_every_fact_and_every_range_is_needed(step, before):
    """Of the classical bounds; dimat mutations asks the same of all, in other ways."""
    for place in range(len(step.uses)):
        assert not replace(step, uses=step.uses[:place] + step.uses[place + 1 :]).follows(before)
    for place, each in enumerate(step.ranges):
        if each.symbol in (alpha, K, M) and each not in ROOTS:
            assert not replace(step, ranges=step.ranges[:place] + step.ranges[place + 1 :]).follows(before)


CORRUPTED = [
    (GOSSIP, "bound", lambda right: right.subs(s, s**2)),
    (GOSSIP, "bound", lambda right: right.subs(N, 2 * N)),
    (GOSSIP, "descent", lambda right: right.subs(sigma, 0)),
    (GOSSIP, "sum of disagreements", lambda right: right.subs(K, K / 2)),
    (GOSSIP, "consensus", lambda right: right.subs(kappa, kappa / 2)),
    (ADAPT, "consensus", lambda right: right.subs(s, s**2)),
    (LOCAL, "drift", lambda right: right.subs(kappa, kappa / 2)),
    (LOCAL, "local steps of a round", lambda right: right.subs(tau, 2 * tau)),
    (LOCAL, "merge", lambda right: right.subs(s, s**2)),
    (LOCAL, "bound", lambda right: right.subs(tau, tau / 2)),
    (MOMENTUM, "velocity", lambda right: right.subs(beta, beta**2)),
    (MOMENTUM, "bound", lambda right: right.subs(beta, beta / 2)),
    (ADAM, "bound", lambda right: right.subs(M, (m + M) / 2)),
    *(
        (derivation, "bound", lambda right, term=term: right - term)
        for derivation in (GOSSIP, MOMENTUM)
        for term in derivation.terms.values()
    ),
]


@pytest.mark.parametrize(
    ("derivation", "name", "corrupt"),
    CORRUPTED,
    ids=[f"{index}, {derivation.key}, {name}" for index, (derivation, name, _) in enumerate(CORRUPTED)],
)
def test_a_corrupted_statement_does_not_follow(derivation, name, corrupt):
    step = named(derivation, name)
    assert corrupt(step.right) != step.right
    assert not replace(step, right=corrupt(step.right)).follows(derivation.before(step))


@pytest.mark.parametrize(
    ("derivation", "name", "factor"),
    [
        (GOSSIP, "descent", 2),
        (GOSSIP, "consensus", 2),
        (ADAPT, "descent", 2),
        (ADAPT, "consensus", 2),
        (LOCAL, "drift", 2),
        (MOMENTUM, "sum of disagreements", 2),
        (MOMENTUM, "bound", 2),
        (ADAM, "descent", 3),
        (ADAM, "consensus", 3),
        (ADAM, "bound", 2),
    ],
)
def test_a_larger_step_size_does_not_follow(derivation, name, factor):
    step = named(derivation, name)
    larger = [
        replace(each, limit=each.limit * factor) if each.symbol == alpha else each for each in step.ranges
    ]
    assert larger != [*step.ranges]
    assert not replace(step, ranges=tuple(larger)).follows(derivation.before(step))


def at_best(cost_of):
    """The smallest value over the grid of what is free."""
    return min(cost_of(each) for each in [*(0.01 * share for share in range(1, 100)), 1.0])


def sharper_by_hand(key, alpha, L, sigma, kappa, N, K, s, gap_0, Xi_0, beta=0.0):
    """The same of the sharper bounds."""
    own = sigma**2 * (1 - 1 / N)
    if key == "sharper_momentum":
        rate = alpha / (1 - beta)
        share = 2 * (rate * L / (1 - s)) ** 2
        wave = alpha**2 * own * (1 + s * beta) / ((1 - s * s) * (1 - beta * beta) * (1 - s * beta))

        def mean_at(c):
            if c == 1:
                return inf
            young = share + (1 - share) * c
            rest = (Xi_0 / K + 2 * rate**2 * kappa**2 / (1 - s)) / (1 - s)
            return (rest / young + wave / (1 - young)) / (1 - share / young)

        lag = 2 * rate**2 * beta**2 * L**2 * sigma**2 / (N * (1 - beta))
        mean = at_best(mean_at)
        return 2 * gap_0 / (rate * K) + rate * L * sigma**2 / N + lag + L**2 * mean, mean
    merged = s if key == "sharper_adapt_then_combine" else 1.0
    q = s * (1 + alpha * L) if merged == s else s + alpha * L
    mean = (Xi_0 / K + alpha**2 * merged**2 * (kappa**2 / (1 - q) + own)) / (1 - q)
    step = alpha * L

    def gradient_at(c):
        first = 2 * gap_0 / (alpha * K) + step * sigma**2 / N
        return (first + ((1 - step) / c + step) * L**2 * mean) / (2 - step - (1 - step) * c)

    return at_best(gradient_at), mean


def by_hand(key, alpha, L, sigma, kappa, N, K, s, gap_0, Xi_0, tau=1, beta=0.0, m=1.0, M=1.0):
    """The bounds on the mean squared gradient and on the mean disagreement."""
    gap = 1 - s
    if key.startswith("sharper"):
        return sharper_by_hand(key, alpha, L, sigma, kappa, N, K, s, gap_0, Xi_0, beta)
    if key == "gossip":
        mean = 2 / gap * (Xi_0 / K + alpha**2 * (2 * kappa**2 / gap + sigma**2))
        return 2 * gap_0 / (alpha * K) + alpha * L * sigma**2 / N + L**2 * mean, mean
    if key == "adapt_then_combine":
        memory = 1 / (1 - s - 2 * s**2 * gap / (1 + s) ** 2)
        mean = memory * (Xi_0 / K + alpha**2 * s**2 * (2 * kappa**2 / gap + sigma**2))
        return 2 * gap_0 / (alpha * K) + alpha * L * sigma**2 / N + L**2 * mean, mean
    if key == "local_steps":
        loss = 3 * gap / 4  # of all local steps of a round
        inflow = alpha**2 * (4 * tau * kappa**2 / gap + sigma**2)
        starts = (Xi_0 * tau / K + s**2 * tau * inflow / (1 - loss)) / (1 - s**2 / (1 - loss))
        weights = [1 + j * loss / tau / (1 - loss) for j in range(tau)]
        mean = starts * sum(weights) / tau + inflow / (1 - loss) * sum(range(tau)) / tau
        return 2 * gap_0 / (alpha * K) + alpha * L * sigma**2 / N + L**2 * mean, mean
    if key == "momentum":
        rate = alpha / (1 - beta)
        noise = sigma**2 * (1 + beta / (gap * (1 - beta)))
        mean = 2 / gap * (Xi_0 / K + 2 * rate**2 * kappa**2 / gap + alpha**2 * noise)
        lag = 2 * rate**2 * beta**2 * L**2 * sigma**2 / (N * (1 - beta))
        return 2 * gap_0 / (rate * K) + rate * L * sigma**2 / N + lag + L**2 * mean, mean
    mean = 2 / gap * (Xi_0 / K + alpha**2 * M**2 * (2 * kappa**2 + sigma**2) / gap)
    floor = 0.75 * (M / m - 1) * (2 * kappa**2 + sigma**2)
    noise = alpha * L * M * (M + m) / 2 * sigma**2 / N
    return 2 * gap_0 / (alpha * m * K) + noise / m + floor + (2 * M / m - 1) * L**2 * mean, None


positive = st.floats(1e-3, 1e3)


@every_derivation
@settings(deadline=None, max_examples=15)
@given(
    st.floats(0.01, 1),
    st.tuples(
        *(positive,) * 3, st.integers(1, 64), st.integers(1, 10**4), st.floats(0, 0.99), *(positive,) * 2
    ),
    st.tuples(st.integers(1, 50), st.floats(0, 0.99), st.floats(0.1, 1), st.floats(1, 3)),
)
def test_bounds_are_those_written_by_hand(derivation, fraction, shared, own):
    names = ("L", "sigma", "kappa", "N", "K", "s", "gap_0", "Xi_0", "tau", "beta", "m", "M")
    constants = dict(zip(names, shared + own, strict=True))
    constants["K"] *= constants["tau"]
    symbols = {str(symbol) for symbol in derivation.constants()}
    constants = {name: value for name, value in constants.items() if name in symbols}
    constants["alpha"] = fraction * derivation.largest_step_size(**constants)
    gradient, disagreement = by_hand(derivation.key, **constants)
    assert derivation.bound(**constants) == pytest.approx(gradient, rel=1e-9)
    assert derivation.bound(**constants) == sum(derivation.term_values(**constants).values())
    if disagreement is None:
        with pytest.raises(InputError, match="no bound on the disagreement"):
            derivation.disagreement_bound(**constants)
    else:
        assert derivation.disagreement_bound(**constants) == pytest.approx(disagreement, rel=1e-9)


def test_special_cases_are_each_other():
    shared = {
        name: CONSTANTS[name] for name in ("alpha", "L", "sigma", "kappa", "N", "K", "s", "gap_0", "Xi_0")
    }
    gossip = GOSSIP.bound(**shared)
    assert MOMENTUM.bound(**shared, beta=0.0) == pytest.approx(gossip, rel=1e-12)
    one = LOCAL.disagreement_bound(**shared, tau=1)
    assert one < 4 * ADAPT.disagreement_bound(**shared)
    complete = shared | {"s": 0.0}  # agents agree after the first merge
    assert ADAPT.disagreement_bound(**complete) == pytest.approx(CONSTANTS["Xi_0"] / CONSTANTS["K"])
    assert LOCAL.disagreement_bound(**complete, tau=1) == pytest.approx(CONSTANTS["Xi_0"] / CONSTANTS["K"])
    plain = ADAM.term_values(**shared, m=1.0, M=1.0)
    assert plain.pop("different preconditioners") == 0
    for name, value in plain.items():
        assert value >= GOSSIP.term_values(**shared)[name] * (1 - 1e-12)


class Trajectory:
    """Quadratics without noise: random ones from points far apart, or optima along the slowest direction."""

    def __init__(self, graph, agents, seed, worst):
        generator = numpy.random.default_rng(seed)
        mixing = graph.mixing_matrix(agents)
        permutation = numpy.eye(agents)[generator.permutation(agents)]
        share = generator.uniform(0, 0.5) if not worst else 0.0
        self.mixing = (1 - share) * mixing + share * (permutation + permutation.T) / 2
        values, vectors = numpy.linalg.eigh(self.mixing)
        slowest = vectors[:, numpy.argsort(abs(values))[-2], None]
        optima = slowest * generator.standard_normal(4) if worst else generator.standard_normal((agents, 4))
        self.problem = Quadratic(generator.uniform(0.1, 3, 4), optima, sigma=0.0)
        self.start = numpy.zeros((agents, 4)) if worst else 5 * generator.standard_normal((agents, 4))
        self.generator = generator

    def constants(self, steps):
        center = self.start.mean(0)
        return {
            **{"L": self.problem.smoothness, "sigma": 0.0, "kappa": self.problem.heterogeneity},
            **{"N": len(self.start), "K": steps, "s": second_eigenvalue(self.mixing)},
            **{"gap_0": float(self.problem.gap(center)), "Xi_0": disagreement(self.start)},
        }

    def gradients(self, x):
        return self.problem.gradients(x[:, None])[:, 0]


def disagreement(x):
    return float(((x - x.mean(0)) ** 2).sum(1).mean())


def gossip(run, x, step, memory):
    return run.mixing @ x - step["alpha"] * run.gradients(x)


def adapt_then_combine(run, x, step, memory):
    return run.mixing @ (x - step["alpha"] * run.gradients(x))


def local_steps(run, x, step, memory):
    memory["k"] = memory.get("k", 0) + 1
    x = x - step["alpha"] * run.gradients(x)
    return x if memory["k"] % step["tau"] else run.mixing @ x


def momentum(run, x, step, memory):
    memory["v"] = step["beta"] * memory.get("v", 0) - step["alpha"] * run.gradients(x)
    return run.mixing @ x + memory["v"]


def adam(run, x, step, memory):
    """Preconditioners that lengthen whatever points away from where the mean should go."""
    gradients = run.gradients(x)
    away = gradients * run.problem.gradient(x.mean(0)) < 0
    return run.mixing @ x - step["alpha"] * numpy.where(away, step["M"], step["m"]) * gradients


RULES = {rule.__name__: rule for rule in (gossip, adapt_then_combine, local_steps, momentum, adam)}


@every_derivation
@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(GRAPHS),
    st.integers(3, 10),
    st.sampled_from([0.05, 1.0]),
    st.integers(0, 10**6),
    st.booleans(),
)
def test_bounds_hold_on_trajectories_without_noise(derivation, graph, agents, fraction, seed, worst):
    run = Trajectory(graph, agents, seed, worst)
    own = {str(symbol) for symbol in derivation.constants()} & {"tau", "beta", "m", "M"}
    steps = int(run.generator.choice([3, 30]))
    constants = run.constants(steps) | {name: CONSTANTS[name] for name in own}
    constants["alpha"] = fraction * derivation.largest_step_size(**constants)
    x, memory, squared, disagreements = run.start, {}, [], []
    for _ in range(steps):
        squared.append(float((run.problem.gradient(x.mean(0)) ** 2).sum()))
        disagreements.append(disagreement(x))
        x = RULES[derivation.about](run, x, constants, memory)
    # Both may be 0 exactly, and are then squares of round-off.
    assert numpy.mean(squared) <= derivation.bound(**constants) * (1 + 1e-9) + 1e-24
    if derivation.disagreement is not None:
        assert numpy.mean(disagreements) <= derivation.disagreement_bound(**constants) * (1 + 1e-9) + 1e-24


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(GRAPHS), st.integers(3, 10), st.floats(0.05, 1), st.integers(0, 10**6))
def test_consensus_recursions_on_random_points(graph, agents, fraction, seed):
    """Without noise they hold step by step, not only on average."""
    run = Trajectory(graph, agents, seed, worst=False)
    for derivation in (GOSSIP, ADAPT):
        constants = run.constants(1)
        constants["alpha"] = fraction * derivation.largest_step_size(**constants)
        after = RULES[derivation.about](run, run.start, constants, {})
        values = {Xi: constants["Xi_0"]} | {
            symbol: constants[str(symbol)] for symbol in (L, alpha, sigma, kappa, s)
        }
        assert (
            disagreement(after)
            <= float(named(derivation, "consensus").right.subs(values)) * (1 + 1e-9) + 1e-24
        )


@pytest.mark.parametrize("sharper", SHARPER, ids=lambda each: each.key)
@settings(deadline=None, max_examples=15)
@given(
    st.floats(0.001, 1),
    st.tuples(
        *(positive,) * 3, st.integers(1, 64), st.integers(1, 10**4), st.floats(0, 0.99), *(positive,) * 2
    ),
    st.floats(0, 0.99),
)
def test_sharper_bounds_against_the_classical_ones(sharper, fraction, shared, decay):
    """Gossip's is never larger; those of the others where the step size is small enough, if noise rules."""
    names = ("L", "sigma", "kappa", "N", "K", "s", "gap_0", "Xi_0", "beta")
    constants = dict(zip(names, (*shared, decay), strict=True))
    classical = DERIVATIONS[sharper.sharpens]
    known = {str(symbol) for symbol in classical.constants()}
    assert known == {str(symbol) for symbol in sharper.constants()}
    constants = {name: value for name, value in constants.items() if name in known}
    constants["alpha"] = fraction * classical.largest_step_size(**constants)
    if sharper.key == "sharper_gossip":
        assert sharper.bound(**constants) <= classical.bound(**constants) * (1 + 1e-9)
        assert sharper.disagreement_bound(**constants) <= classical.disagreement_bound(**constants) * (
            1 + 1e-9
        )
    elif sharper.key == "sharper_momentum":
        noise = constants | {"kappa": 0.0, "Xi_0": 0.0, "alpha": constants["alpha"] / 100}
        assert sharper.disagreement_bound(**noise) <= classical.disagreement_bound(**noise) * (1 + 1e-9)


def test_how_much_smaller_the_sharper_bounds_are():
    """Where heterogeneity, or noise through slow merges and velocities, rules."""
    setting = {"alpha": 1e-5, "L": 1.0, "sigma": 0.0, "kappa": 1.0, "N": 8, "K": 10**9, "s": 0.9}
    setting |= {"gap_0": 0.0, "Xi_0": 0.0}
    gain = GOSSIP.disagreement_bound(**setting) / DERIVATIONS["sharper_gossip"].disagreement_bound(**setting)
    assert gain == pytest.approx(4, rel=1e-3)
    gain = GOSSIP.bound(**setting) / DERIVATIONS["sharper_gossip"].bound(**setting)
    assert gain == pytest.approx(4, rel=1e-3)
    noise = setting | {"sigma": 1.0, "kappa": 0.0, "s": 0.95, "beta": 0.9, "N": 10**9}
    gain = MOMENTUM.disagreement_bound(**noise) / DERIVATIONS["sharper_momentum"].disagreement_bound(**noise)
    assert gain == pytest.approx(10.4, rel=0.02)


def test_an_excluded_limit_is_not_admissible():
    sharper = DERIVATIONS["sharper_gossip"]
    constants = constants_of(sharper, alpha=0.25)
    with pytest.raises(
        InputError, match=r"alpha: 0.25, expected below \(1 - s\)/L, the limit of contraction"
    ):
        sharper.bound(**constants)
    assert sharper.bound(**constants | {"alpha": 0.2499}) > 0
    assert sharper.largest_step_size(L=2.0, s=0.5) == pytest.approx(0.225)


def test_different_preconditioners_do_not_converge_to_a_stationary_point():
    """Two agents, f_i = (x - b_i)^2 / 2, b = (1, -1), D = (2, 1/2): rest is at 0.6, as is the gradient."""
    optima, preconditioners = numpy.array([[1.0], [-1.0]]), numpy.array([[2.0], [0.5]])
    for step in (0.1, 0.001):
        x = numpy.zeros((2, 1))
        for _ in range(int(20 / step)):
            x = numpy.full((2, 1), x.mean()) - step * preconditioners * (x - optima)
        assert x.mean() == pytest.approx(0.6, abs=2 * step)
    constants = {
        "L": 1.0,
        "sigma": 0.0,
        "kappa": 1.0,
        "N": 2,
        "K": 10**9,
        "s": 0.0,
        "gap_0": 0.5,
        "Xi_0": 0.0,
    }
    terms = ADAM.term_values(**constants, m=0.5, M=2.0, alpha=1e-4)
    assert terms["different preconditioners"] == pytest.approx(4.5)  # 0.75 (M/m - 1) 2 kappa^2 > 0.6^2


@every_derivation
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sigma": -1.0}, "sigma: -1; expected a number at least 0"),
        ({"L": 0.0}, "L: 0; expected a number above 0"),
        ({"kappa": nan}, "kappa: nan; expected"),
        ({"gap_0": inf}, "gap_0: inf; expected"),
        ({"N": 2.5}, "N: 2.5; expected a whole number"),
        ({"s": 1.0}, r"the graph is disconnected: sqrt\(rho\) is 1, expected below 1"),
        ({"rho": 0.5}, "rho: no constant of"),
    ],
)
def test_impossible_constants_are_rejected(derivation, changed, message):
    with pytest.raises(InputError, match=message):
        derivation.bound(**constants_of(derivation, **changed))


@pytest.mark.parametrize(
    ("derivation", "changed", "message"),
    [
        (MOMENTUM, {"beta": 1.0}, "beta: 1, expected below 1"),
        (ADAM, {"m": 3.0}, "m: 3, expected at most M = 2"),
        (LOCAL, {"K": 31}, "K: 31, expected a multiple of tau = 3"),
        (LOCAL, {"tau": 0}, "tau: 0; expected a number above 0"),
        (
            GOSSIP,
            {"alpha": 0.2},
            r"alpha: 0.2 exceeds \(1 - s\)/\(2\*L\) = 0.125, the limit of consensus, by 0.075",
        ),
        (MOMENTUM, {"alpha": 0.01}, r"limit of descent, by 0.0075"),
    ],
)
def test_constants_that_contradict_are_rejected(derivation, changed, message):
    with pytest.raises(InputError, match=message):
        derivation.bound(**constants_of(derivation, **changed))


@every_derivation
def test_missing_constants_are_named(derivation):
    constants = constants_of(derivation)
    del constants["gap_0"], constants["alpha"]
    with pytest.raises(InputError, match=r"needs values of: alpha, gap_0$"):
        derivation.bound(**constants)
    assert derivation.largest_step_size(**constants) > 0
    del constants["L"]
    with pytest.raises(InputError, match="needs values of: L"):
        derivation.largest_step_size(**constants)


@every_derivation
def test_the_largest_step_size_is_admissible_and_nothing_larger(derivation):
    constants = constants_of(derivation)
    largest = derivation.largest_step_size(**constants)
    assert derivation.bound(**constants | {"alpha": largest}) > 0
    largest /= BELOW if derivation.excluded else 1
    with pytest.raises(InputError, match="exceeds"):
        derivation.bound(**constants | {"alpha": largest * (1 + 1e-9)})


@every_derivation
def test_typesetting(derivation):
    assert derivation.latex().count(r"\underbrace") == len(derivation.terms)
    assert derivation.typst().count("underbrace") == len(derivation.terms)
    assert typst.compile(f"$ {derivation.typst()} $".encode()).startswith(b"%PDF")
    assert "(-1)" not in derivation.typst()


def test_typst_of_a_bound():
    assert GOSSIP.typst().endswith(
        'underbrace((2 L^(2) alpha^(2) sigma^(2))/(1 - sqrt(rho)), "noise through disagreement")'
    )


def test_text():
    for derivation in (GOSSIP, DERIVATIONS["sharper_gossip"], ADAM):
        text = derivation_text(derivation)
        assert text.count("follows (checked by sympy)") == len(derivation.steps + derivation.comparison)
        assert all(f"  {name}: {term}" in text for name, term in derivation.terms.items())
    first = GOSSIP.steps[0]
    broken = replace(GOSSIP, steps=(replace(first, right=first.right / 2),))
    assert "descent: DOES NOT FOLLOW" in derivation_text(broken)
    for rate in PUBLISHED_RATES.values():
        assert "up to a constant" in rate_text(rate) and rate.latex().startswith(r"\mathcal{O}")


def test_commands():
    runner = CliRunner()
    assert runner.invoke(commands, ["derive", "--latex"]).stdout == GOSSIP.latex() + "\n"
    assert "wa, and dimat" in runner.invoke(commands, ["derive", "local_steps"]).stdout
    assert "arXiv 2003.10422" in runner.invoke(commands, ["derive", "koloskova"]).stdout
    unknown = runner.invoke(commands, ["derive", "nothing"]).exception
    assert isinstance(unknown, InputError) and str(unknown).endswith(
        ", ".join([*DERIVATIONS, *PUBLISHED_RATES])
    )
