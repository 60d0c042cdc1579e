"""Configurations drawn from the JSON schema: valid ones plan, invalid ones are refused by their key."""

import copy
import json
import re
from collections import Counter

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from dimat.errors import InputError
from dimat.experiment.reading import parse_study
from dimat.experiment.schema import json_schema

SCHEMA = json.loads(json_schema())
RARE = 8
"""One in so many optional keys is written, and one in so many axes is a list: grids multiply."""
KEYS = {key for part in (SCHEMA, *SCHEMA["$defs"].values()) for key in part["properties"]}
BASE = {
    "name": "study",
    "data": "digits",
    "model": "plain",
    "partition": "iid",
    "graph": "ring",
    "method": "dimat",
    "seeds": 0,
}


def resolved(schema):
    return SCHEMA["$defs"][schema["$ref"].split("/")[-1]] if "$ref" in schema else schema


@st.composite
def valid(draw, schema):
    """A value that the schema allows."""
    schema = resolved(schema)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return draw(valid(chosen(draw, schema[several])))
    kind = schema["type"]
    if kind == "object":
        keys = [key for key in schema["properties"] if key in schema.get("required", []) or rare(draw)]
        return {key: draw(valid(schema["properties"][key])) for key in keys}
    if kind == "array":
        if "prefixItems" in schema:
            return [draw(valid(item)) for item in schema["prefixItems"]]
        most = max(schema.get("minItems", 0), schema.get("maxItems", 2))
        return draw(st.lists(valid(schema["items"]), min_size=schema.get("minItems", 0), max_size=most))
    if kind == "integer":
        low = schema.get("minimum", 0)
        return draw(st.integers(low, min(schema.get("maximum", low + 9), low + 9)))
    if kind == "number":
        low, high = schema.get("minimum", schema.get("exclusiveMinimum", 0)), schema.get("maximum", 1e9)
        return draw(
            st.floats(
                low,
                schema.get("exclusiveMaximum", high),
                exclude_min="exclusiveMinimum" in schema,
                exclude_max="exclusiveMaximum" in schema,
            )
        )
    if kind == "string":
        if "pattern" in schema:
            return draw(st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True)).rstrip("\n")
        return draw(st.text("ab/. ", min_size=schema.get("minLength", 0), max_size=5))
    return {"boolean": draw(st.booleans()), "null": None}[kind]


def rare(draw):
    return draw(st.sampled_from([False] * (RARE - 1) + [True]))


def chosen(draw, options):
    """One of several schemas; a list of an axis only rarely."""
    options = [option for option in options if "not" not in option]  # a part of a mapping, in variants
    single = [option for option in options if option.get("type") != "array"]
    return draw(st.sampled_from(options if not single or rare(draw) else single))


WRONG = [
    None,
    True,
    -1,
    0,
    3.5,
    float("nan"),
    float("inf"),
    10**30,
    "",
    "nowhere",
    [],
    {},
    [[1]],
    {"name": 3},
]


@st.composite
def invalid_key(draw):
    """(keys on the way, a value that is not allowed there), for a key of the schema."""
    path, schema = (), SCHEMA
    while True:
        key = draw(st.sampled_from(sorted(schema["properties"])))
        path, field = (*path, key), resolved(schema["properties"][key])
        options = [resolved(part) for part in parts_of(field) if "properties" in resolved(part)]
        if not options or draw(st.booleans()):
            return path, draw(st.sampled_from(WRONG))
        schema = draw(st.sampled_from(options))
        name = schema["properties"].get("name")
        path = (*path, {"name": name["const"]} if name else {})


def parts_of(field):
    """The schemas that a field accepts, itself or as one of several."""
    field = resolved(field)
    several = field.get("anyOf", field.get("oneOf", []))
    return [field] + [part for option in several for part in parts_of(option)]


def planned(content):
    """Whether a configuration plans; a refusal is one line, which names the file and a key."""
    try:
        study = parse_study(content, "study.yaml")
    except InputError as error:
        message = str(error)
        assert message.startswith("study.yaml: ") and len(message.splitlines()) == 1, message
        assert set(re.findall(r"\w+", message)) & KEYS, f"names no key: {message}"
        return False
    for id, run in study.runs.items():
        assert id == run.id and re.fullmatch(r"[a-z0-9_]+(-[a-z0-9_]+)*-[0-9a-f]{10}", id)
    assert study.runs and study.pretrained and study.partitioned and study.prepared
    json.dumps(study.model_dump(mode="json"))
    return True


def examples(long, some):
    count = 1000 if long else some
    return settings(max_examples=count, suppress_health_check=list(HealthCheck), database=None)


def test_configurations_that_the_schema_allows(long):
    outcomes = Counter()

    @examples(long, 40)
    @given(valid(SCHEMA))
    def check(content):
        before = copy.deepcopy(content)
        ended = planned(content)
        outcomes[ended] += 1
        event(f"plans: {ended}")
        assert json.dumps(content) == json.dumps(before)

    check()
    print(outcomes)
    assert outcomes[True]


def test_a_wrong_value_anywhere_is_refused_by_its_key(long):
    outcomes = Counter()

    @examples(long, 100)
    @given(invalid_key())
    def check(found):
        path, value = found
        content = copy.deepcopy(BASE)
        place = content
        for step, inner in zip(path[:-1:2], path[1::2], strict=True):
            place[step] = dict(inner)
            place = place[step]
        place[path[-1]] = value
        if planned(content):  # the value is allowed there
            outcomes["allowed"] += 1
            return
        outcomes["refused"] += 1
        with pytest.raises(InputError) as caught:
            parse_study(content, "study.yaml")
        words = set(re.findall(r"\w+", str(caught.value)))
        assert words & {step for step in path if isinstance(step, str)}, str(caught.value)

    check()
    print(outcomes)
    assert outcomes["refused"]
