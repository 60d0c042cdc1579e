"""Reading configurations, and what is said of mistakes in them: one line."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from dimat.errors import InputError
from dimat.experiment.config import Study
from dimat.io.files import without_checksum
from dimat.io.written import read_written
from dimat.spec import LARGEST


def read_study(path: Path) -> Study:
    """Read and validate a configuration file."""
    return parse_study(read_written(path), str(path))


def parse_study(content: object, name: str) -> Study:
    """Validate the ``content`` of a configuration; messages start with its ``name``."""
    if not isinstance(content, Mapping):
        found = "nothing" if content is None else "a list" if isinstance(content, list) else repr(content)
        raise InputError(f"{name}: expected a mapping of keys, got {found}")
    try:
        content = without_checksum(content)  # which study.json has, and no other configuration needs
    except (TypeError, ValueError) as error:  # TypeError: values that JSON does not have
        raise InputError(f"{name}: damaged ({error}); delete it and run again") from None
    try:
        study = Study.model_validate(content)
        _ = study.runs  # a grid point that is impossible is found here
        study.check()
    except ValidationError as error:
        raise InputError(f"{name}: {describe(error)}") from None
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    return study


def describe(error: ValidationError) -> str:
    """The first mistake of a validation in one line: key, value, what is expected."""
    first = error.errors(include_url=False)[0]
    kind, value = first["type"], first["input"]
    key = ".".join(str(part) for part in first["loc"])
    if kind == "unknown_key":
        return f"{key}: {first['msg']}" if key else first["msg"]
    if kind == "too_large":
        key = f"{key}.{first['msg']}".removeprefix(".")
        return f"{key}: expected numbers up to {LARGEST:,}, got {shown(value[first['msg']])}"
    if kind == "missing":
        return f"{key}: missing; expected a value"
    if kind.startswith("union_tag"):
        if (tags := first.get("ctx", {}).get("expected_tags")) is None:
            return f"{key}: {shown(value)} has no name; expected one"
        return f"{key}: {shown(value['name'])} is no known name; expected one of {tags}"
    message = first["msg"].removeprefix("Value error, ")
    if kind == "float_type" and isinstance(value, str):
        message += " (in YAML, 1e-3 without a dot is text: write 0.001 or 1.0e-3)"
    return f"{key}: {shown(value)} is not valid: {message[:1].lower()}{message[1:]}"


def shown(value: object) -> str:
    """A value as a part of a line."""
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:38]}...{text[-38:]}"
