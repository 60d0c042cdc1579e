"""Bounds for permutations that close no cycle, or change: the projections and prices they rest on."""

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dimat.randomness import Randomness
from dimat.topology import Hypercube, Ring
from theory.bounds.changing_merges import (
    Frames,
    against,
    changing_controls,
    changing_rows,
    crossed_frames,
    drawn,
    spread,
)
from theory.bounds.orbit_means import AtOrbits, Moved, compared_at_orbits, matched, orbit_controls
from theory.gap.permutations import identity, independent
from theory.problems import Separable
from theory.problems.task import ProblemTask

MIXING = Ring().mixing_matrix(5)


def apart(lift, x):
    """X less its limit, by merging often."""
    limit = x
    for _ in range(4000):
        limit = lift.apply(limit)
    return ((x - limit) ** 2).sum() / len(x), limit


@pytest.mark.parametrize("permuted", [identity, independent])
def test_what_is_measured_is_the_distance_from_the_limit_of_merges(permuted):
    generator = numpy.random.default_rng(1)
    lift = permuted(MIXING, 4) if permuted is identity else permuted(MIXING, 4, generator)
    problem = Separable(generator.uniform(0.5, 2, 5), generator.uniform(-1, 1, 5), 4, sigma=0.0)
    start = generator.standard_normal((5, 4))
    agents = AtOrbits(ProblemTask(problem, start, 2, Randomness("x", 0)), lift, 1)
    gradient, disagreement, gap = agents.measured()
    expected, limit = apart(lift, start)
    assert disagreement == pytest.approx([expected] * 2, rel=1e-9)
    for row in limit:  # z in any frame: no loss tells frames apart
        assert (problem.gradient(row[None]) ** 2).sum() == pytest.approx(gradient[0], rel=1e-8)
        assert problem.gap(row[None])[0] == pytest.approx(gap[0], rel=1e-8)


def test_many_seeds_are_merged_as_each_alone():
    generator = numpy.random.default_rng(2)
    lift = independent(MIXING, 3, generator)
    x = generator.standard_normal((5, 4, 3))
    merged = Moved(lift, 4).mix(torch.from_numpy(x.reshape(5, 12)), "models").numpy().reshape(5, 4, 3)
    for seed in range(4):
        assert merged[:, seed] == pytest.approx(lift.apply(x[:, seed]))


def test_matched_permutations_close_no_cycles():
    lift = matched(Hypercube().mixing_matrix(8), 10, numpy.random.default_rng(0))
    assert lift.symmetric and not lift.consistent and lift.capacity < 10


@pytest.mark.parametrize("fraction", [1.0, 0.3])
def test_any_fixed_permutations_obey_the_bound(fraction):
    generator = numpy.random.default_rng(3)
    problem = Separable.drawn(5, generator)
    lift = independent(MIXING, problem.dimensions, generator)
    rows = compared_at_orbits(problem, lift, fraction, generator.standard_normal((5, 10)), "ring", "random")
    assert [row.verdict for row in rows] == ["holds", "holds"]


def test_corrupted_bounds_are_rejected():
    assert {row.verdict for row in (*orbit_controls(), *changing_controls())} == {"rejected"}


def test_new_frames_and_drift_obey_their_bounds():
    assert {row.verdict for row in changing_rows()} == {"holds"}


# New frames.


@given(st.integers(0, 2**32 - 1))
def test_the_price_of_new_frames_is_never_exceeded(seed):
    """Nor is it by frames that are no better, for any points."""
    generator = numpy.random.default_rng(seed)
    problem = Separable(generator.uniform(0.5, 2, 3), generator.uniform(-1, 1, 3), 4, sigma=0.0)
    y = 3 * generator.standard_normal((3, 4))
    new = numpy.array([row[generator.permutation(4)] for row in y])
    old, changed = problem.gap(numpy.stack([y.mean(0), new.mean(0)]))
    assert changed - old <= problem.smoothness / 2 * (spread(y) + spread(new)) * (1 + 1e-12)


def test_the_price_of_new_frames_is_attained():
    rise, bound = crossed_frames()
    assert rise.holds and rise.measured == pytest.approx(1, abs=1e-4)
    assert bound.holds and bound.tightness < 2.5


def test_frames_change_only_where_agents_come_closer():
    problem, start = drawn("test")
    merges = Frames(problem, Ring().mixing_matrix(8), 1)
    x = start
    for _ in range(3):
        before = spread(numpy.take_along_axis(x, merges.orders, 1))
        merged = merges(x)
        after = spread(numpy.take_along_axis(x, merges.orders, 1))
        assert after <= before
        x = merged
    assert len(merges.prices) == 1  # once sorted like agent 0, averages stay so


def test_merging_in_frames_is_averaging_there():
    problem, start = drawn("test")
    mixing = Ring().mixing_matrix(8)
    merges = Frames(problem, mixing, 1)
    merged = merges(start)
    sorted_alike = numpy.take_along_axis(start, merges.orders, 1)
    assert numpy.take_along_axis(merged, merges.orders, 1) == pytest.approx(mixing @ sorted_alike)
    assert (numpy.argsort(sorted_alike, 1) == numpy.argsort(sorted_alike[0])).all()


def test_the_interval_is_of_the_difference():
    mean, low, high = against(numpy.array([1.0, 2.0, 3.0]), numpy.array([11.0, 12.0, 13.0]))
    assert (mean, low, high) == pytest.approx((2, 2, 2))
