"""The configuration's JSON schema, and its documentation, from the same typed source."""

import json
from collections.abc import Iterator

from dimat.experiment.config import Study

INTRODUCTION = """\
# Configuration

<!-- written by: dimat schema --markdown > config/README.md -->

A configuration is a YAML file with the keys of the first table. Keys marked "or a list" are axes of the grid:
every combination of their values is run. A name alone (`graph: ring`) stands for `{name: ring}` with its
defaults. Keys that a mapping leaves out have their defaults; in `variants` they are those of the file. A key
that is written twice is refused, and so is a value that YAML 1.1 and 1.2 read differently (`yes`, `010`,
`1e-3`): the message says what to write. `dimat schema` prints the JSON schema, `config/schema.json`, with
which editors complete and check.

## The file
"""


def json_schema() -> str:
    """JSON schema of a configuration file, for editors."""
    return json.dumps(Study.model_json_schema(), indent=1, sort_keys=True) + "\n"


def reference() -> str:
    """Every key of the configuration as a Markdown page."""
    schema = Study.model_json_schema()
    lines = [INTRODUCTION, *_table(schema, schema["$defs"])]
    explained: set[str] = set()
    for key, field in schema["properties"].items():
        if key != "variants":
            lines += _sections(key, field, schema["$defs"], explained)
    return "\n".join(lines) + "\n"


def _sections(path: str, field: dict, definitions: dict, explained: set[str]) -> Iterator[str]:
    """A section for each spec that a key accepts, and for those that its own keys accept, but only once."""
    for name in _references(field):
        if name in explained:
            continue
        explained.add(name)
        definition = definitions[name]
        title = definition["properties"].get("name", {}).get("const")
        yield f"\n## `{path}: {title}`\n" if title else f"\n## `{path}`\n"
        yield " ".join(definition.get("description", "").split()) + "\n"
        own = {key: value for key, value in definition["properties"].items() if key != "name"}
        if own:
            yield from _table(definition | {"properties": own}, definitions)
        for key, value in own.items():
            yield from _sections(f"{path}.{key}", value, definitions, explained)


def _references(field: dict) -> list[str]:
    """Names of the definitions that a field refers to, itself or in its parts, without repetition."""
    if "$ref" in field:
        return [field["$ref"].split("/")[-1]]
    parts = [
        *field.get("anyOf", []),
        *field.get("oneOf", []),
        *([field["items"]] if "items" in field else []),
    ]
    return list(dict.fromkeys(name for part in parts for name in _references(part)))


def _table(definition: dict, definitions: dict) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for key, field in definition["properties"].items():
        default = (
            "required" if key in definition.get("required", []) else f"`{_default(field.get('default'))}`"
        )
        meaning = " ".join(field.get("description", "").split()).replace("|", "\\|")
        yield f"| `{key}` | {_value(field, definitions)} | {default} | {meaning} |"


def _default(value: object) -> str:
    """A default as it may be written in the file."""
    if isinstance(value, dict):
        return value.get("name", "all defaults")
    if isinstance(value, list) and len(value) == 1:
        return _default(value[0])
    return json.dumps(value)


def _value(field: dict, definitions: dict) -> str:
    """What may be written for a field, in words."""
    names = [definitions[name]["properties"].get("name", {}).get("const") for name in _references(field)]
    options = field.get("anyOf", [])
    axis = any(
        other | {"minItems": 1} == {"items": option, "type": "array", "minItems": 1}
        for option in options
        for other in options
    )
    if names:
        text = ", ".join(f"`{name}`" for name in names) if all(names) else "keys below"
        return text + " or a list" * axis
    if axis:
        return f"{_value(options[0], definitions)}, or a list"
    if options:
        return " or ".join(_value(option, definitions) for option in options)
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of ({_value(field['items'], definitions)})"
    limits = {
        "minimum": "from {}",
        "exclusiveMinimum": "above {}",
        "maximum": "to {}",
        "exclusiveMaximum": "below {}",
    }
    bounds = [text.format(f"{field[limit]:g}") for limit, text in limits.items() if limit in field]
    return " ".join([field.get("type", "anything"), *bounds])
