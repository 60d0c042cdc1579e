"""Holm's correction against its definition, intervals by simulation, and the error of the test set."""

from itertools import combinations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from theory.bounds.rates import t_interval
from theory.claims.error_of_test_set import variance_bound
from theory.claims.holm import LEVEL, holm, risks
from theory.claims.paired import p_value

values = st.one_of(st.floats(0, 1), st.floats(0, 0.05), st.sampled_from([0.0, 0.004, 0.02, 0.3, 1.0]))
families = st.lists(values, min_size=1, max_size=7).map(numpy.array)


def by_closed_testing(p):
    """Rejected where Bonferroni's test rejects each intersection of hypotheses that it is in."""
    sets = [each for size in range(1, len(p) + 1) for each in combinations(range(len(p)), size)]
    tests = {each: min(1.0, len(each) * p[list(each)].min()) for each in sets}
    return [max(value for each, value in tests.items() if one in each) for one in range(len(p))]


@given(families)
def test_holm_is_closed_testing_with_bonferroni(p):
    assert holm(p) == pytest.approx(by_closed_testing(p), rel=1e-12)


@given(families, st.randoms(use_true_random=False))
def test_adjusted_values_are_larger_in_the_same_order_and_permute(p, random):
    adjusted, levels, order = holm(p), risks(p), random.sample(range(len(p)), len(p))
    assert (adjusted >= p).all() and (adjusted <= 1).all()
    assert (numpy.diff(adjusted[numpy.argsort(p)]) >= 0).all()
    assert (holm(p[order]) == adjusted[order]).all() and (risks(p[order]) == levels[order]).all()
    assert (levels >= LEVEL / len(p)).all() and (levels <= LEVEL).all()


def test_by_hand_and_not_the_rate_of_false_discoveries():
    p = numpy.array([0.04, 0.005, 0.03, 0.01])
    assert holm(p) == pytest.approx([0.06, 0.02, 0.06, 0.03])
    assert risks(p) == pytest.approx([LEVEL / 2, LEVEL / 4, LEVEL / 2, LEVEL / 3])
    assert (stats.false_discovery_control(p) <= LEVEL).all()  # rejects all four
    assert (risks(numpy.array([0.03, 0.03])) == LEVEL / 2).all()


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0.1, 2)), min_size=1, max_size=6), st.integers(0, 99))
def test_intervals_leave_out_zero_just_where_holm_rejects(settings, seed):
    noise = numpy.random.default_rng(seed).standard_normal((len(settings), 6))
    samples = [mean + scale * row for (mean, scale), row in zip(settings, noise, strict=True)]
    p = numpy.array([p_value(sample) for sample in samples])
    for sample, adjusted, risk in zip(samples, holm(p), risks(p), strict=True):
        _, low, high = t_interval(sample, risk)
        assert (low > 0 or high < 0) == (adjusted <= LEVEL)


def test_p_values_are_those_of_the_t_test():
    sample = numpy.array([0.5, -0.1, 0.4, 0.9, 0.2, 0.3])
    assert p_value(sample) == pytest.approx(stats.ttest_1samp(sample, 0).pvalue, rel=1e-12)
    assert (p_value(numpy.zeros(6)), p_value(numpy.ones(6))) == (1, 0)


# Simulations: 2,000 studies each, so a frequency of .05 is off by .005, one standard error.

STUDIES = 2000


def missed(samples, mean, risk=LEVEL, further=0.0):
    """How often intervals of ``samples`` (studies, seeds) lie beside the mean."""
    ends = numpy.array([t_interval(sample, risk, further)[1:] for sample in samples])
    return ((ends[:, 0] > mean) | (ends[:, 1] < mean)).mean()


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_intervals_of_few_seeds_cover_as_often_as_they_say(seeds):
    normal = 1 + numpy.random.default_rng(0).standard_normal((STUDIES, seeds))
    assert 0.035 < missed(normal, 1) < 0.065
    assert 0.003 < missed(normal, 1, risk=0.01) < 0.018
    two_deviations = 1.96 * normal.std(axis=1, ddof=1) / seeds**0.5  # as if the deviation were known
    assert (abs(normal.mean(axis=1) - 1) > two_deviations).mean() > 0.08


def test_a_family_without_gains_is_decided_by_chance_in_one_study_of_twenty():
    generator = numpy.random.default_rng(1)
    shared, own = generator.standard_normal((2, STUDIES, 6, 8))
    differences = own + shared[..., :1]  # of 6 seeds in 8 settings, which are dependent
    p = 2 * stats.t.sf(abs(differences.mean(1)) / stats.sem(differences, axis=1), 5)
    decided = numpy.array([(holm(each) <= LEVEL).any() for each in p])
    assert decided.mean() < 0.065 < (p <= LEVEL).any(axis=1).mean()


def right(generator, shape, easy):
    """What classifiers get right (..., examples), with a chance for each example, ``easy`` on average."""
    chances = generator.beta(6 * easy, 6 * (1 - easy), shape[-1])
    return generator.random(shape) < chances


@pytest.mark.parametrize(("ours", "theirs"), [(0.9, 0.8), (0.1, 0.12), (0.5, 0.5), (0.7, 0.2)])
def test_no_test_set_moves_a_difference_more_than_the_bound_says(ours, theirs):
    generator, examples = numpy.random.default_rng(2), 100_000
    agents = [right(generator, (3, examples), easy).mean(0) for easy in (ours, theirs)]
    shares = [numpy.array([agent.mean()]) for agent in agents]
    assert (agents[0] - agents[1]).var() / 50 < variance_bound(*shares, 50)


def test_the_bound_is_attained():
    """Where no example is right for both, and where none is wrong for both."""
    ours, theirs = numpy.repeat([1.0, 0.0], [30, 70]), numpy.repeat([0.0, 1.0, 0.0], [30, 20, 50])
    shares = [numpy.array([each.mean()]) for each in (ours, theirs)]
    assert variance_bound(*shares, 100) == pytest.approx((ours - theirs).var() / 100)
    assert variance_bound(*(1 - each for each in shares), 100) == pytest.approx((ours - theirs).var() / 100)
    same = numpy.array([1.0])
    assert variance_bound(same, same, 100) == 0
    spread = [numpy.array([0.2, 0.4]), numpy.array([0.2, 0.2])]
    assert variance_bound(*spread, 10) == pytest.approx(((0.4 - 0) + (0.6 - 0.04)) / 2 / 10)


def test_seeds_alone_do_not_show_the_error_of_the_test_set():
    """Two kinds of networks, of which each is better on half of all examples, on 50 of these."""
    generator, examples, seeds = numpy.random.default_rng(3), 50, 6
    kind = generator.random((STUDIES, 1, examples)) < 0.5
    ours, theirs = (
        (generator.random((STUDIES, seeds, examples)) < numpy.where(better, 0.9, 0.5)).mean(-1)
        for better in (kind, ~kind)
    )
    assert missed(ours - theirs, 0) > 0.1
    further = [variance_bound(a, b, examples) for a, b in zip(ours, theirs, strict=True)]
    wider = [missed(each[None], 0, further=more) for each, more in zip(ours - theirs, further, strict=True)]
    assert numpy.mean(wider) < LEVEL
    for sample, more in zip(ours[:50] - theirs[:50], further, strict=False):
        assert t_interval(sample, further=more)[2] > t_interval(sample)[2]
