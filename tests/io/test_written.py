"""What people write: one meaning, or refused with its line and key."""

import json
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dimat.errors import InputError
from dimat.io.written import parse_written, read_written

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 12)
)

RIGHT = {
    "a: 1\nb: [2, x]": {"a": 1, "b": [2, "x"]},
    "\N{ZERO WIDTH NO-BREAK SPACE}a: 1": {"a": 1},
    "a: 'yes'\nb: \"1e-3\"\nc: '010'": {"a": "yes", "b": "1e-3", "c": "010"},
    "a: true\nb: False\nc: null\nd: ~\ne:": {"a": True, "b": False, "c": None, "d": None, "e": None},
    "a: +5\nb: .5\nc: 5.\nd: 0x1F\ne: 1.0e-3\nf: -0": {
        "a": 5,
        "b": 0.5,
        "c": 5.0,
        "d": 31,
        "e": 1e-3,
        "f": 0,
    },
    "a: &x [1, 2]\nb: *x": {"a": [1, 2], "b": [1, 2]},
    "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}": {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}},
    "a: {c: 3, <<: [{b: 1}, {b: 2, d: 4}]}": {"a": {"b": 1, "c": 3, "d": 4}},
    '{"a": 1e-05, "b": 1E3}': {"a": 1e-05, "b": 1000.0},
    "a: y\nb: n\nc: =": {"a": "y", "b": "n", "c": "="},
    "a: 1\r\nb: 2\r\n": {"a": 1, "b": 2},
    "": None,
    "- 1": [1],
}
REFUSED = {
    "a: 1\nb: 2\na: 3": (3, "a: written twice, first in line 1"),
    "a:\n  x: 1\n  y: 2\n  x: 1": (4, "a.x: written twice, first in line 2"),
    "l:\n- {x: 1, x: 1}": (2, "l.0.x: written twice, first in line 2"),
    '{"a": 1,\n "a": 2}': (2, "a: written twice, first in line 1"),
    "a: 1\n'a': 2": (2, "a: written twice"),
    "<<: {a: 1}\n<<: {b: 1}": (2, "<<: written twice"),
    "a: yes": (1, "a: 'yes' is ambiguous: a truth value in YAML 1.1, text in 1.2; expected true, or \"yes\""),
    "a: No": (1, "expected false"),
    "a: on": (1, "expected true"),
    "a: OFF": (1, "expected false"),
    "x: 2\nyes: 1": (2, "'yes' is ambiguous"),
    "a: 1e-3": (1, "text in YAML 1.1, a number in 1.2; expected 0.001"),
    "a: 1e-7": (1, "expected 1.0e-07"),
    "a: 1.5e3": (1, "expected 1500.0"),
    "a: 010": (1, "8 in YAML 1.1, 10 in 1.2; expected 10"),
    "a: 089": (1, "expected 89"),
    "a: 0o14": (1, "expected 12"),
    "a: 0b11": (1, "expected 3"),
    "a: 1_000": (1, "expected 1000"),
    "a: 12:30:00": (1, 'expected "12:30:00" for the text'),
    "a: 1:20.5": (1, "ambiguous"),
    "a: 2020-01-01": (1, "a date in YAML 1.1, text in 1.2"),
    "a: 2020-13-45": (1, "a date in YAML 1.1"),
    "a: .inf": (1, "a: '.inf' is not finite"),
    "a: -.INF": (1, "is not finite"),
    "b: 1\na: .nan": (2, "a: '.nan' is not finite"),
    '{"a": 1e999}': (1, "ambiguous"),
    "1: 2": (1, "expected a name as a key, got '1'"),
    "a: {true: 3}": (1, "a: expected a name as a key, got 'true'"),
    "null: 3": (1, "expected a name as a key"),
    "? [a]\n: 3": (1, "expected a name as a key, got a list"),
    "a: 1\n---\nb: 2": (3, "a second document starts"),
    "\ta: 1": (1, "a tab where only spaces may be"),
    "a:\n\tb: 1": (2, "a tab where only spaces may be"),
    "a: &a [*a]": (1, "an alias inside of what it stands for"),
    "a: *b": (1, "undefined alias"),
    "<<: 3": (1, "<<: expected a mapping"),
    "a: !!python/object/apply:os.system [x]": (1, "the tag"),
    "a: !!set {x}": (1, "the tag"),
    "a: !x 3": (1, "the tag '!x' is not known"),
    "a: !!binary aGk=": (1, "the tag"),
    'a: "\\ud800"': (1, "half a character"),
    '{"a": "\\ud800"}': (1, "half a character"),
    "b: 1\na: \x00": (2, "character 0x0 is not allowed"),
    "a: " + "9" * 5000: (1, "too many digits"),
    "a: b: c": (1, "not valid YAML"),
    "a: [1": (1, "not valid YAML"),
    "[" * 5000: (None, "nested too deeply"),
    '{"a":' * 5000: (None, "nested too deeply"),
    LAUGHS: (5, "stands for more than 100,000 values"),
}


@pytest.mark.parametrize("text", RIGHT, ids=repr)
def test_what_has_one_meaning_has_it(text):
    assert parse_written(text, "file") == RIGHT[text]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text)[:40])
def test_what_has_several_or_none_is_refused_with_its_line(text):
    line, words = REFUSED[text]
    began = time.perf_counter()
    with pytest.raises(InputError) as caught:
        parse_written(text, "file")
    message = str(caught.value)
    assert message.startswith("file: " if line is None else f"file, line {line}: ")
    assert words in message and len(message.splitlines()) == 1 and len(message) < 300
    assert time.perf_counter() - began < 10


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abcd"), plain))
def test_json_and_yaml_of_a_value_give_it_back(value):
    assert parse_written(json.dumps(value), "file") == value
    assert parse_written(yaml.safe_dump(value), "file") == value


@given(st.text(alphabet=st.sampled_from("0123456789.eE+-_:xobyesnoftru~ "), max_size=8))
def test_whatever_is_accepted_is_what_pyyaml_reads(text):
    """So that Snakemake, which reads a study for itself, reads the same."""
    try:
        value = parse_written(f"a: {text}", "file")
    except InputError:
        return
    assert value == yaml.safe_load(f"a: {text}")
    assert type(value["a"]) is type(yaml.safe_load(f"a: {text}")["a"])


@given(st.binary(max_size=60))
def test_whatever_bytes_are_read_or_refused_in_one_line(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "file"
    path.write_bytes(content)
    try:
        read_written(path)
    except InputError as error:
        assert str(error).startswith(str(path)) and len(str(error).splitlines()) == 1


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_refused_with_their_line(tmp_path, encoding):
    path = tmp_path / "study.yaml"
    path.write_bytes("a: 1\nb: \N{LATIN SMALL LETTER E WITH ACUTE}".encode(encoding))
    with pytest.raises(InputError, match=r"line \d: byte 0x.. is not UTF-8; expected a file of YAML or JSON"):
        read_written(path)


def test_an_endless_file_is_refused():
    with pytest.raises(InputError, match="more than 16 MB"):
        read_written(Path("/dev/zero"))
