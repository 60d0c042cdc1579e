"""The configuration's JSON schema, and its documentation, from the same typed source."""

import json
from collections.abc import Iterator

from dimat.config import Study


def json_schema() -> str:
    """JSON schema of a configuration file, for editors."""
    return json.dumps(Study.model_json_schema(), indent=1, sort_keys=True) + "\n"


def reference() -> str:
    """Every key of the configuration as a Markdown page."""
    schema = Study.model_json_schema()
    lines = [
        "# Configuration",
        "",
        "<!-- written by: dimat schema --markdown -->",
        "",
        "A configuration is a YAML file with the keys below; `dimat schema` prints its JSON schema. Where a list is",
        "accepted, it is an axis of the grid: every combination is run. A name alone (`graph: ring`) stands for",
        "`{name: ring}` with its defaults.",
        "",
        "## The file",
        "",
        *_table(schema, schema["$defs"]),
    ]
    for name, definition in schema["$defs"].items():
        if name == "Variant":
            continue
        title = definition["properties"].get("name", {}).get("const", name.lower())
        lines += ["", f"## `{title}`", "", definition.get("description", "").replace("\n", " "), ""]
        lines += _table(definition, schema["$defs"])
    return "\n".join(lines) + "\n"


def _table(definition: dict, definitions: dict) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "| --- | --- | --- | --- |"
    required = definition.get("required", [])
    for key, field in definition["properties"].items():
        default = "required" if key in required else f"`{json.dumps(field.get('default'))}`"
        meaning = " ".join(field.get("description", "").split()).replace("|", "\\|")
        yield f"| `{key}` | {_value(field, definitions)} | {default} | {meaning} |"


def _value(field: dict, definitions: dict) -> str:
    """What may be written for a field, in words."""
    if "$ref" in field:
        name = field["$ref"].split("/")[-1]
        return f"`{definitions[name]['properties'].get('name', {}).get('const', name.lower())}`"
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    options = field.get("anyOf") or field.get("oneOf")
    if options:
        texts = [_value(option, definitions) for option in options]
        return " or ".join(dict.fromkeys(texts))
    if field.get("type") == "array":
        return f"list of ({_value(field['items'], definitions)})" if "items" in field else "list"
    limits = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {field[limit]}" for limit, sign in limits.items() if limit in field]
    return " ".join([field.get("type", "anything"), ", ".join(bounds)]).strip()
