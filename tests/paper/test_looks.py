"""Any number of lines and points look different, up to the number of looks that there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from support.made_up import BASE

from dimat.experiment.reading import parse_study
from paper.looks import FILLS, LINE_MARKERS, LINE_STYLES, looks_of, point_looks, told_apart
from paper.style import COLOURS, MARKERS

PLACES = some.lists(some.tuples(*[some.integers(0, 50)] * 3), max_size=24)


@given(PLACES)
def test_all_looks_are_used_before_one_is_used_twice(wanted):
    found = told_apart(wanted, ("abc", "xy", "0123"))
    assert len(set(found)) == len(found)
    if wanted:
        a, b, c = wanted[0]  # nobody has taken what the first wants
        assert found[0] == ("abc"[a % 3], "xy"[b % 2], "0123"[c % 4])


def test_the_first_feature_is_kept_as_long_as_it_can_be():
    assert told_apart([(0, 0)] * 5, ("ab", "xy")) == [
        ("a", "x"),
        ("a", "y"),
        ("b", "x"),
        ("b", "y"),
        ("a", "x"),
    ]


@pytest.mark.parametrize("count", [1, 11, 75, 280])
def test_points_are_told_apart(count):
    looks = [tuple(look.values()) for look in point_looks((place, place) for place in range(count))]
    assert len(set(looks)) == count <= len(COLOURS) * len(MARKERS) * len(FILLS)
    assert [look[:2] for look in looks[:10]] == list(zip(COLOURS, MARKERS, strict=False))[:count]


def test_forty_rates_are_forty_lines():
    methods = [{"name": "dpsgd", "learning_rate": 0.001 * rate} for rate in range(1, 41)]
    study = parse_study(BASE | {"method": methods, "seeds": [0, 1]}, "study")
    looks = {tuple(look.values()) for look in looks_of(study).values()}
    assert len(looks) == 40 < len(COLOURS) * len(LINE_STYLES) * len(LINE_MARKERS)
    assert {colour for colour, _, _ in looks} == {COLOURS[0]}  # one method, one colour
