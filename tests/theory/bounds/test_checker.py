"""The check of derivations: what is false, or not shown, is rejected; attacks on it fail."""

import re
from collections import Counter
from dataclasses import replace

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy import Integer, Rational, Symbol

from theory.bounds.derivations import DERIVATIONS
from theory.bounds.derivations.axioms import BELOW_1, JENSEN, g, h, k, p, v, w
from theory.bounds.derivations.facts import Axiom, Induction, Lemma, SquareOf, Summed, summed
from theory.bounds.derivations.inequality import Inequality, Use
from theory.bounds.derivations.instances import attained, holds
from theory.bounds.derivations.mutations import changes_of, mutants, rejected
from theory.bounds.derivations.ranges import CheckError, Domain, Range
from theory.bounds.derivations.symbols import (
    SUMS,
    TABLE,
    K,
    L,
    M,
    N,
    Xi,
    Xi_next,
    alpha,
    j,
    kappa,
    m,
    quantity,
    s,
    sigma,
    symbol,
    tau,
    total,
    unknown,
)
from theory.bounds.derivations.vectors import Vector, dot, gram, square, vector

GOSSIP, LOCAL = DERIVATIONS["gossip"], DERIVATIONS["local_steps"]
every_derivation = pytest.mark.parametrize("derivation", DERIVATIONS.values(), ids=DERIVATIONS)
ONE = Integer(1)


def step(left, right, *uses, ranges=()):
    return Inequality("a", "", sympy.sympify(left), sympy.sympify(right), uses, ranges)


def with_step(derivation, name, **changed):
    """The derivation with a step changed, wherever it is quoted."""
    return replace(
        derivation,
        steps=tuple(replace(each, **changed) if each.name == name else each for each in derivation.steps),
    )


# What is certified.


@every_derivation
def test_every_derivation_is_certified(derivation):
    assert derivation.problems() == []


@every_derivation
def test_axioms_hold_on_instances_and_are_attained(derivation):
    for axiom in derivation.axioms():
        assert holds(axiom, derivation.about), axiom.name
        assert attained(axiom, derivation.about), axiom.name


@every_derivation
def test_a_few_mutants_are_rejected(derivation):
    """All of them are gone through by `dimat mutations`."""
    outcomes = Counter(each.outcome for each in list(mutants(derivation))[7::240])
    assert outcomes["rejected"] >= 1 and outcomes["SURVIVED"] == 0


# Numbers.


@pytest.mark.parametrize(
    ("left", "right", "ranges"),
    [
        (1, 0, ()),
        (1, 1 / (1 - s), ()),  # false for s > 1
        (0, 1 / (1 - s), ()),
        (1, 1 + Xi - 2 * Xi, ()),
        (1, 1 / (1 - s), (Range(s, ">=", Rational(1, 2)),)),
        (alpha, 1 / L, (Range(alpha, "<=", 2 / L),)),
        (M, m, (Range(M, ">=", m),)),
        (gram(p, v), gram(p, v) ** 3, ()),
    ],
)
def test_what_is_false_or_undecided_does_not_follow(left, right, ranges):
    assert not step(left, right, ranges=ranges).follows({})


@pytest.mark.parametrize(
    ("left", "right", "ranges"),
    [
        (1, 1 + Xi, ()),
        (1, 1 / (1 - s), (BELOW_1,)),
        (alpha, 1 / L, (Range(alpha, "<=", 1 / L),)),
        (m, M, (Range(M, ">=", m),)),
        (alpha * L, 1 - s, (Range(alpha, "<", (1 - s) / L), BELOW_1)),
        (0, 1 / (1 - s - alpha * L), (Range(alpha, "<", (1 - s) / L), BELOW_1)),
        (sympy.sqrt(N / K), 1 + N / K, ()),
    ],
)
def test_what_is_true_follows(left, right, ranges):
    if isinstance(left, sympy.Pow | sympy.Mul) and left.has(sympy.sqrt(N)):
        roots = (Range(N, "is the square of its root"), Range(K, "is the square of its root"))
        assert not step(left, right, ranges=roots).follows({})  # undecided: a square is left over
        squared = Use(SquareOf(sympy.sqrt(N / K) - Rational(1, 2)), times=ONE)
        assert step(left, right, squared, ranges=roots).follows({})
    else:
        assert step(left, right, ranges=ranges).follows({})


@given(st.floats(0, 0.999), st.floats(0.001, 1000), st.floats(0.001, 0.999))
def test_a_range_has_its_values_and_no_others(root, smoothness, share):
    """Every admissible number is met by the variable of the range, and no other is."""
    for limit, relation, symbol_ in ((1 - s, "<", s), (1 / L, "<=", alpha), (1 / L, "<", alpha)):
        if symbol_ is s:
            limit = ONE
        own = Range(symbol_, relation, limit).value
        (variable,) = own.free_symbols - {L, s}
        at = float(limit.subs({L: smoothness, s: root}))
        solved = sympy.solve(own.subs({L: smoothness, s: root}) - share * at, variable)
        assert len(solved) == 1 and solved[0] >= -1e-9


# Attacks.


def test_two_symbols_of_one_name_are_rejected():
    other = Symbol("Xi", positive=True)
    assert unknown([other, Xi]) == ["Xi"]
    assert "not of the table" in step(0, other).problem({})
    with pytest.raises(ValueError, match="Xi: is in the table already"):
        symbol("Xi", "another")
    with pytest.raises(ValueError, match="in the table already"):
        quantity("Xi", "another")
    with pytest.raises(ValueError, match="p: is a vector already"):
        vector("p", "another")
    assert all(name == str(each) for name, each in TABLE.items())


def test_one_symbol_with_two_ranges_is_rejected():
    twice = (Range(alpha, "<=", 1 / L), Range(alpha, "<=", (1 - s) / L), BELOW_1)
    with pytest.raises(CheckError, match="alpha: has two ranges"):
        step(0, 1, ranges=twice).problem({})


def test_a_fact_used_twice_counts_twice():
    once = Use(SquareOf(h - k), gram(h, k))
    assert step(2 * gram(h, k), gram(h) + gram(k), once).follows({})
    assert not step(4 * gram(h, k), gram(h) + gram(k), once, once).follows({})


def test_ranges_in_a_circle_are_rejected():
    for circle in (
        (Range(alpha, "<=", s / L), Range(s, "<", alpha)),
        (BELOW_1, Range(alpha, "<=", (1 - s) / L)),
        (Range(s, "<", 2 * s),),
    ):
        with pytest.raises(CheckError):
            Domain(circle)


@pytest.mark.parametrize("limit", [1 - s, s, -ONE, 1 / L - 1])
def test_a_limit_that_may_be_0_or_below_is_rejected(limit):
    with pytest.raises(CheckError, match="not shown to be above 0"):
        Domain((Range(alpha, "<=", limit),))


def test_words_say_what_is_used():
    assert BELOW_1.text == "0 <= s < 1"
    assert replace(BELOW_1, limit=Integer(2)).text == "0 <= s < 2"
    assert "L**2*Xi" in JENSEN.text({}) and "<=" in JENSEN.text({})
    assert "<= 2*L**2*Xi" in replace(JENSEN, right=2 * L**2 * Xi).text({})
    for derivation in DERIVATIONS.values():
        for each in derivation.steps:
            assert "<=" not in each.because.replace("|CENTER a + RADIUS b|^2 <= M (CENTER", "")


def test_a_pole_that_is_divided_out_is_rejected():
    held = sympy.Mul(1 - 2 * s, 1 / (1 - 2 * s), evaluate=False)
    assert "denominator" in step(0, held, ranges=(BELOW_1,)).problem({})
    assert "denominator" in step(0, 1 / (1 - 2 * s) ** 2, ranges=(BELOW_1,)).problem({})
    fact = Axiom("pole", "", (1 - 2 * s) * Xi_next, Xi)
    assert step(Xi_next, Xi / (1 - 2 * s), Use(fact, Xi_next), ranges=(BELOW_1,)).problem({}) != ""
    small = (Range(s, "<", Rational(1, 2)),)
    assert step(Xi_next, Xi / (1 - 2 * s), Use(fact, Xi_next), ranges=small).follows({})


def test_a_factor_of_unknown_sign_is_rejected():
    unsigned = gram(h, k)
    fact = Axiom("unsigned", "", unsigned * Xi_next, unsigned * Xi)
    assert not step(Xi_next, Xi, Use(fact, Xi_next)).follows({})
    negative = Axiom("negative", "", -Xi_next, -Xi)  # says Xi <= Xi_next
    assert not step(Xi_next, Xi, Use(negative, Xi_next)).follows({})
    assert step(Xi, Xi_next, Use(negative, Xi_next)).follows({})
    assert step(Xi_next, Xi, Use(replace(negative, is_identity=True), Xi_next)).follows({})


def test_a_removed_symbol_must_be_in_the_fact_and_linear():
    with pytest.raises(CheckError, match="is not in"):
        step(Xi_next, Xi, Use(JENSEN, Xi_next)).problem({})
    with pytest.raises(CheckError, match="not linear"):
        step(Xi_next**2, Xi, Use(Axiom("", "", Xi_next, Xi), Xi_next)).problem({})


def test_a_square_is_of_what_is_real():
    assert SquareOf(Xi - 1).sides({}) == (0, (Xi - 1) ** 2)
    with pytest.raises(CheckError, match="not shown to be real"):
        SquareOf(sympy.sqrt(Xi - 1)).sides({})
    with pytest.raises(CheckError, match="not shown to be real"):
        SquareOf(Symbol("z")).sides({})


def test_a_bound_without_terms_is_rejected():
    assert any(
        problem.startswith("bound: expected")
        for problem in replace(GOSSIP, terms={"all": 0 * ONE}).problems()
    )
    assert any("bound" in problem for problem in with_step(GOSSIP, "bound", right=0 * ONE).problems())
    assert any("is missing" in problem for problem in replace(GOSSIP, steps=()).problems())


def test_a_factor_2_dropped_in_the_spread_lemma_is_rejected():
    problems = with_step(GOSSIP, "spread of gradients", right=L**2 * Xi + kappa**2).problems()
    assert problems == ["spread of gradients: what is left over is not shown to be nonnegative"]


def test_a_dropped_factor_that_all_later_steps_share_is_rejected():
    """As if the whole derivation had been made with the wrong lemma."""
    halved = GOSSIP
    for each in GOSSIP.steps:
        halved = with_step(halved, each.name, right=each.right.subs(kappa, kappa / sympy.sqrt(2)))
    assert halved.problems() != []


def test_a_recursion_that_was_not_proved_is_not_summed():
    """The sum takes what "consensus" says, not what the sum needs."""
    larger = with_step(GOSSIP, "consensus", right=named(GOSSIP, "consensus").right + Xi / 2)
    assert [problem.split(":")[0] for problem in larger.problems()] == ["sum of disagreements"]


def named(derivation, name):
    return next(each for each in derivation.steps if each.name == name)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": GOSSIP.steps[::-1]}, "is no earlier step"),
        ({"steps": GOSSIP.steps * 2}, "two steps have this name"),
        ({"steps": (*GOSSIP.steps, replace(GOSSIP.steps[0], name="idle"))}, "idle: is used by no other step"),
        ({"disagreement": GOSSIP.disagreement / 2}, "sum of disagreements: expected to conclude"),
        ({"disagreement": GOSSIP.disagreement + Xi}, "expected to conclude|constants alone"),
        ({"step_sizes": {"descent": 1 / L}}, r"alpha <= .* is not among what is assumed"),
        ({"step_sizes": {**GOSSIP.step_sizes, "more": 1 / L**2}}, "enough steps for more: expected that"),
        ({"speed_up": 2 * GOSSIP.speed_up}, "rate: expected to start from the bound"),
    ],
)
def test_a_chain_that_does_not_end_in_the_bound_is_rejected(changed, message):
    found = replace(GOSSIP, **changed).problems()
    assert any(re.search(message, problem) for problem in found), found


def test_an_end_that_a_step_leaves_out_is_not_offered():
    sharper = DERIVATIONS["sharper_momentum"]
    found = replace(sharper, closed_end=True).problems()
    assert any("c < 1 is not among what is assumed" in problem for problem in found)
    assert any("constants alone" in problem for problem in replace(sharper, free=()).problems())


def test_a_corollary_that_does_not_follow_is_rejected():
    rate = named(GOSSIP, "rate")
    assert with_step(GOSSIP, "rate", right=rate.right - L * sigma**2 / sympy.sqrt(N * K)).problems()
    without = replace(GOSSIP, steps=tuple(each for each in GOSSIP.steps if each.name != "rate"))
    assert any(problem.startswith("rate: expected") for problem in without.problems())


def test_an_axiom_that_an_instance_contradicts_is_rejected():
    """A derivation may assume what makes it true: then the assumption is false on an instance."""
    agreed = Axiom("agreement", "", Xi_next, 0 * ONE)
    uses = (Use(agreed, Xi_next),)
    cheat = with_step(GOSSIP, "consensus", uses=uses)
    assert rejected(cheat) and not holds(agreed, "gossip")
    assert not rejected(GOSSIP)


# Sums and inductions.


def test_sums_are_of_what_is_linear():
    assert summed(alpha * Xi + sigma**2, K) == alpha * total + K * sigma**2
    assert summed(2 * Xi_next - gram(p, v), K / tau) == 2 * SUMS[Xi_next] - SUMS[gram(p, v)]
    for wrong in (Xi**2, Xi * Xi_next, alpha * Xi / (1 + Xi), total, j):
        with pytest.raises(CheckError):
            summed(wrong, K)


def induction(derivation=LOCAL):
    (use,) = named(derivation, "sum over a round").uses
    return use.fact


@pytest.mark.parametrize(
    "changed",
    [
        {"claim": lambda fact: fact.claim * Rational(9, 10)},
        {"claim": lambda fact: fact.claim + j},
        {"closed": lambda fact: fact.closed - j},
        {"closed": lambda fact: fact.closed + 1},
        {"base": lambda fact: "merge"},
        {"step": lambda fact: "start of a round"},
        {"recursion": lambda fact: "local step"},
    ],
)
def test_a_wrong_induction_is_rejected(changed):
    before = {each.name: each for each in LOCAL.steps}
    right = induction()
    assert right.sides(before)[0] == TABLE["in_round"]
    wrong = replace(right, **{name: of(right) for name, of in changed.items()})
    with pytest.raises(CheckError):
        wrong.sides(before)


def test_an_induction_step_that_is_not_for_every_j_is_rejected():
    before = {each.name: each for each in LOCAL.steps}
    name = "local steps of a round"
    before[name] = replace(before[name], ranges=(Range(tau, ">=", 2 * j + 1), BELOW_1))
    with pytest.raises(CheckError, match="every j from 0 to tau - 1"):
        induction().sides(before)
    assert isinstance(induction(), Induction)


# Vectors.


def test_squares_are_expanded():
    assert sympy.expand(square(h * 2 - k) - (4 * gram(h) - 4 * gram(h, k) + gram(k))) == 0
    assert dot(p, v) == gram(p, v) and square(h - h) == 0
    assert square(Vector({})) == 0
    with pytest.raises(KeyError):
        dot(p, g)  # of different spaces
    with pytest.raises(ValueError, match="their product is 0"):
        gram(v, w)


def test_changes_of_an_expression():
    found = {(kind, str(changed)) for kind, changed in changes_of(2 * kappa**2 + sigma)}
    assert ("sign flipped", "2*kappa**2 - sigma") in found
    assert ("factor dropped", "kappa**2 + sigma") in found
    assert ("factor dropped", "2*kappa + sigma") in found
    assert ("symbol swapped", "2*kappa**2 + kappa") in found
    assert len({changed for _, changed in found}) == len(found)


def test_lemmas_quote_steps():
    before = {each.name: each for each in GOSSIP.steps}
    lemma, of_sum = Lemma("consensus"), Summed("consensus")
    assert lemma.sides(before) == (Xi_next, before["consensus"].right)
    assert of_sum.sides(before)[0] == SUMS[Xi_next] and of_sum.quotes() == ("consensus",)
    with pytest.raises(CheckError, match="is no earlier step"):
        lemma.sides({})


def test_what_is_negative_at_a_point_is_rejected_before_it_is_expanded():
    """Its powers have 600,000 terms each: to expand one takes minutes."""
    wide = (alpha + L + sympy.sqrt(sigma) + kappa + N) ** 60
    for expression in (-wide, wide - 2 * wide * (1 + alpha / L), (alpha - L) * wide / (1 + wide)):
        assert not Domain(()).nonnegative(expression)
