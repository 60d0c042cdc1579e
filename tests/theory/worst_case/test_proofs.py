"""Stored proofs, checked without a solver; what is none is refused; instances in the library's own hands."""

from dataclasses import replace
from itertools import islice

import numpy
import pytest
from flint import fmpq, fmpq_mat
from hypothesis import given
from hypothesis import strategies as st

from dimat.methods.cdsgd import Cdsgd
from dimat.methods.dpsgd import Dpsgd
from dimat.methods.gradient_tracking import GradientTracking
from dimat.randomness import Randomness
from dimat.topology import Ring
from theory.bounds.runs import run_method
from theory.problems import Quadratic
from theory.worst_case.case import ONE, ZERO, Case
from theory.worst_case.conditions import conditions_of
from theory.worst_case.lower import Instance, lower_end
from theory.worst_case.proof import STORED, as_json, high_end, read_proofs
from theory.worst_case.replay import Attained
from theory.worst_case.rows import replayed, worst_case_rows
from theory.worst_case.rules import RULES
from theory.worst_case.stored import derived_bounds, floats, rational_mixing, stored
from theory.worst_case.upper import NotCertified, positive_definite, repaired, residuals, upper_end

PUBLISHED = {"gossip": (1.85706, 1.85892), "adapt_then_combine": (1.81246, 1.81427)}


@pytest.fixture(scope="module")
def proofs():
    return stored()


def gossip_of_two(proofs):
    return next(proof for proof in proofs if proof.case.rule == "gossip" and proof.case.steps == 2)


def test_stored_proofs_prove_their_brackets(proofs):
    assert len(proofs) > 40 and STORED.stat().st_size < 300_000
    for proof in proofs:
        assert 0 < proof.low <= proof.high
        assert float(proof.high) < 1.12 * float(proof.low)
    assert sum(float(proof.high) < 1.001 * float(proof.low) for proof in proofs) > len(proofs) / 2


def test_what_is_stored_is_read_as_it_was_written(proofs):
    assert as_json(proofs) == STORED.read_text()


def test_brackets_that_others_found_come_out(proofs):
    found = {}
    for proof in proofs:
        case = proof.case
        if case.agents == 2 and case.steps == 2 and case.quantity == "gradient":
            found[case.rule] = (float(proof.low), float(proof.high))
        if case.rule == "local_steps" and not case.disagreement:
            found["from agreement"] = (float(proof.low), float(proof.high))
    for rule, (low, high) in {**PUBLISHED, "from agreement": (1.66523, 1.66690001)}.items():
        assert low <= found[rule][0] <= found[rule][1] <= high + 5e-6


def test_no_derived_bound_lies_below_a_worst_case(proofs):
    for proof in proofs:
        bounds = derived_bounds(proof.case)
        assert proof.case.rule in bounds
        assert min(bounds.values()) > float(proof.low) * (1 - 1e-12)


# What is no proof.


def test_smaller_multipliers_prove_nothing(proofs):
    proof = gossip_of_two(proofs)
    conditions = conditions_of(proof.case, shared=False)
    for factor, why in (
        (fmpq(99, 100), "positive definite"),
        (ZERO, "positive definite"),
        (-ONE, "negative"),
    ):
        with pytest.raises(NotCertified, match=why):
            upper_end(conditions, [factor * each for each in repaired_of(proof)])
    with pytest.raises(NotCertified, match="a multiplier for each condition"):
        upper_end(conditions, repaired_of(proof)[1:])


def repaired_of(proof):
    return repaired(conditions_of(proof.case, shared=False), proof.multipliers)


def test_values_must_cancel(proofs):
    proof = gossip_of_two(proofs)
    conditions = conditions_of(proof.case, shared=False)
    multipliers = repaired_of(proof)
    assert not any(residuals(conditions, multipliers))
    place = next(iter(conditions.pairs.values()))
    multipliers[place] += fmpq(1, 10**8)
    with pytest.raises(NotCertified, match="do not cancel"):
        upper_end(conditions, multipliers)


def test_multipliers_of_another_case_prove_nothing(proofs):
    proof = gossip_of_two(proofs)
    with pytest.raises(NotCertified, match="positive definite"):
        high_end(replace(proof.case, step_size=proof.case.step_size * 2), proof.multipliers)
    with pytest.raises(NotCertified, match="a multiplier for each"):
        high_end(replace(proof.case, steps=3), proof.multipliers)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"heterogeneity": fmpq(1, 2)}, "too heterogeneous"),
        ({"disagreement": fmpq(9, 10)}, "too far apart"),
        ({"gap": fmpq(9, 10)}, "initial gap is too large"),
        ({"step_size": fmpq(1, 3)}, "not smooth"),
        ({"steps": 3}, "too few points"),
        ({"steps": 1}, "another number of points"),
    ],
)
def test_instances_of_other_cases_are_refused(proofs, change, why):
    proof = gossip_of_two(proofs)
    instance = proof.instance
    if "heterogeneity" in change:  # the worst case does not need it: more of it, then
        instance = replace(instance, tilts=instance.tilts * 0 + 1)
    with pytest.raises(NotCertified, match=why):
        lower_end(replace(proof.case, **change), instance)


def test_every_vector_of_an_instance_matters(proofs):
    proof = gossip_of_two(proofs)
    for row in range(len(proof.instance.slopes)):
        slopes = proof.instance.slopes.copy()
        slopes[row] = slopes[row] * fmpq(11, 10)
        with pytest.raises(NotCertified):
            lower_end(proof.case, replace(proof.instance, slopes=slopes))


@given(
    st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=3, max_size=3), st.integers(0, 2)
)
def test_exact_pivots_agree_with_eigenvalues(rows, shift):
    matrix = numpy.array(rows)
    matrix = matrix @ matrix.T - shift * numpy.eye(3, dtype=int)
    determinants = [round(numpy.linalg.det(matrix[:n, :n])) for n in (1, 2, 3)]  # of small integers
    exact = fmpq_mat([[fmpq(int(entry), 7) for entry in row] for row in matrix])
    assert positive_definite(exact) == (min(determinants) > 0)


# The library's own methods.


def test_the_librarys_methods_attain_the_lower_ends(proofs):
    for proof in proofs:
        assert replayed(proof.case, proof.instance) == pytest.approx(float(proof.low), rel=1e-12)
    assert not any(row.violated for row in worst_case_rows())
    assert {row.problem for row in worst_case_rows()} == {"worst case"}


def test_away_from_its_points_an_instance_says_nothing(proofs):
    proof = gossip_of_two(proofs)
    problem = Attained(proof.case, proof.instance)
    near, far = problem.start[:, None], problem.start[:, None] + 1e-6
    assert numpy.isfinite(problem.gradients(near)).all()
    assert numpy.isnan(problem.gradients(far)).all()


def test_another_method_leaves_the_points_of_an_instance(proofs):
    proof = next(each for each in proofs if each.case.rule == "gossip" and each.case.steps == 10)
    problem, nothing = Attained(proof.case, proof.instance), Randomness("none", 0)
    for method, stays in ((Cdsgd, True), (Dpsgd, False)):
        rule = method(learning_rate=float(proof.case.step_size))
        done = run_method(rule, problem, floats(proof.case.mixing), 10, 1, problem.start, nothing)
        assert numpy.isfinite(done.mean_squared_gradient[0]) == stays


def test_gradient_tracking_is_the_librarys():
    generator = numpy.random.default_rng(0)
    problem = Quadratic(generator.uniform(0.2, 1, 3), generator.standard_normal((4, 3)), 0.0)
    start = generator.standard_normal((4, 3))
    case = Case("gradient_tracking", rational_mixing(Ring().mixing_matrix(4)), 5, fmpq(1, 8), ONE, ONE)
    exact = numpy.array([[fmpq(round(x * 2**30), 2**30) for x in row] for row in start], object)
    curvature, optima = (
        numpy.vectorize(lambda x: fmpq(round(x * 2**30), 2**30), otypes=[object])(each)
        for each in (problem.curvature, problem.optima)
    )
    points = list(islice(RULES[case.rule](case, exact, lambda x: curvature * (x - optima)), case.steps))
    method = GradientTracking(learning_rate=0.125)
    done = run_method(method, problem, floats(case.mixing), 5, 1, start, Randomness("x", 0))
    apart = [float(((rows - rows.sum(0) / 4) ** 2).sum()) / 4 for rows in points]
    assert done.mean_disagreement[0] == pytest.approx(numpy.mean(apart), rel=1e-6)


def test_an_instance_without_rows_has_agents_who_start_together():
    nothing = numpy.empty((0, 1), object)
    slopes = numpy.array([[ONE]], object)
    case = Case("gossip", rational_mixing(Ring().mixing_matrix(4)), 1, fmpq(1, 8), ZERO, ZERO)
    assert lower_end(case, Instance(nothing, nothing, slopes, (ONE / 2,))) == 1
    assert len(read_proofs(as_json([]))) == 0
