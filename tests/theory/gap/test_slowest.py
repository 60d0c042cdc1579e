"""The verdict on one eigenvalue, of merges whose permutations need not be inverse to each other."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimat.errors import InputError
from dimat.topology import Complete, DirectedRing, Ring
from theory.gap import verdicts
from theory.gap.lift import Lift
from theory.gap.permutations import identity, independent
from theory.gap.verdicts import slowest_verdict, spectral_verdict


def each_way(graph, agents, size, seed):
    """A permutation of its own for each direction of a link."""
    mixing, generator = graph.mixing_matrix(agents), numpy.random.default_rng(seed)
    links = [(i, j) for i, j in numpy.argwhere(mixing).tolist() if i != j]
    return Lift(mixing, {link: generator.permutation(size) for link in links}, inverse=False)


@given(st.sampled_from([Ring(), Complete()]), st.integers(3, 5), st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_the_ball_holds_an_eigenvalue_and_never_lies_below(graph, agents, size, seed):
    lift = each_way(graph, agents, size, seed)
    verdict = slowest_verdict(lift)
    moduli = abs(numpy.linalg.eigvals(lift.operator().toarray()))
    assert abs(moduli - float(verdict.reading)).min() < 1e-4  # defective ones lose digits
    assert verdict.relation in ("above", "undecided", "equal")
    if verdict.relation == "above":
        assert numpy.sort(moduli)[::-1][lift.capacity] > float(verdict.root) - 1e-4
    assert (verdict.relation == "equal") is (lift.capacity == size)


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_where_links_are_matched_once_it_is_the_verdict_on_the_spectrum(size, seed):
    lift = independent(Ring().mixing_matrix(5), size, numpy.random.default_rng(seed))
    one, whole = slowest_verdict(lift), spectral_verdict(lift)
    assert one.relation in (whole.relation, "undecided")
    assert abs(float(one.reading) - float(whole.reading)) < 1e-9


def test_an_orbit_that_is_too_large_is_left_undecided(monkeypatch):
    monkeypatch.setattr(verdicts, "MOST_ROWS", 10)
    lift = each_way(Ring(), 5, 6, 0)
    assert min(lift.orbit_sizes) > 2
    assert slowest_verdict(lift).because == "all orbits have more than 10 rows"


def test_all_cycles_closed_is_equal():
    assert slowest_verdict(identity(Ring().mixing_matrix(5), 3)).relation == "equal"


def test_links_of_one_direction_are_refused():
    with pytest.raises(InputError, match="a symmetric mixing matrix is needed"):
        slowest_verdict(identity(DirectedRing().mixing_matrix(3), 3))
