"""Building blocks of the typed configuration: strict specs, named choices and grid axes.

A *spec* is a frozen pydantic model. A *registry* is a union of specs (`OneOf`) told apart by their ``name``.
Writing only the name in YAML (``graph: ring``) selects a spec with its defaults. An *axis* is one value or a
list of them, one dimension of an experiment's grid.
"""

import ast
import inspect
import itertools
import textwrap
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


def document(schema: dict[str, Any], spec: type[BaseModel]) -> None:
    """Give the keys of a JSON schema the docstrings of the spec's fields.

    With pydantic's `use_attribute_docstrings` every start would parse the source of all specs, which
    takes longer than all else in its import.
    """
    for base in spec.__mro__:
        if not (issubclass(base, BaseModel) and base.__module__.partition(".")[0] == "dimat"):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in itertools.pairwise(definition.body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=key)), ast.Expr(value=ast.Constant(value=str(words))):
                    if key in schema["properties"]:
                        schema["properties"][key].setdefault("description", inspect.cleandoc(words))


def _complete(schema: dict[str, Any], spec: type[BaseModel]) -> None:
    """Describe the keys; in a file, a spec of a registry must say its name."""
    document(schema, spec)
    name = schema.get("properties", {}).get("name", {})
    if name.pop("default", None) is not None:
        schema["required"] = ["name", *schema.get("required", [])]


LARGEST = 10**9
"""Of whole numbers: nothing that a configuration counts comes near."""


class Spec(BaseModel):
    """A frozen, strict piece of configuration: unknown keys and silent conversions are errors."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        json_schema_extra=_complete,
    )

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        unknown = [key for key in value if key not in cls.model_fields] if isinstance(value, dict) else []
        if unknown:
            expected = ", ".join(cls.model_fields)
            raise PydanticCustomError(
                "unknown_key",
                "{key} is an unknown key; expected one of {expected}",
                {"key": repr(unknown[0]), "expected": expected},
            )
        for key, found in value.items() if isinstance(value, dict) else ():
            for item in found if isinstance(found, list | tuple) else [found]:
                if isinstance(item, int) and abs(item) > LARGEST:
                    raise PydanticCustomError("too_large", "{key}", {"key": key, "expected": LARGEST})
        return value

    def label(self) -> str:
        """Short text for legends and tables: the name, and what differs from the defaults."""
        return " ".join([getattr(self, "name", "").replace("_", " "), ", ".join(self.changes())]).strip()

    def changes(self, *but: str) -> list[str]:
        """What differs from the defaults, a text for each key but some."""

        def text(value: Any) -> str:
            if isinstance(value, Spec):
                return value.label()
            return f"{value:g}" if isinstance(value, float) else str(value)

        return [
            f"{key.replace('_', ' ')} {text(value)}"
            for key, value in self
            if key not in ("name", *but) and value != type(self).model_fields[key].default
        ]


@dataclass(frozen=True)
class OneOf:
    """Makes a union of specs a registry: told apart by ``name``, and a name alone (``ring``) stands for one.

    Written as ``Annotated[Ring | Star, OneOf()]``.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def expand(value: Any) -> Any:
            return {"name": value} if isinstance(value, str) else value

        several = len(get_args(source)) > 1
        kind = Annotated[source, Field(discriminator="name")] if several else source
        schema = handler.generate_schema(kind) if several else handler(source)
        short = [
            spec.model_fields["name"].default
            for spec in get_args(source) or (source,)
            if not any(field.is_required() for field in spec.model_fields.values())
        ]
        return core_schema.no_info_before_validator_function(expand, schema, metadata={"short": short})

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict:
        return {"anyOf": [{"enum": schema.get("metadata", {})["short"]}, handler(schema)]}


@dataclass(frozen=True)
class OneOrMany:
    """Accepts a single value for a list of one; refuses repetitions."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def expand(value: Any) -> Any:
            return tuple(value) if isinstance(value, list | tuple) else (value,)

        def distinct(values: tuple) -> tuple:
            repeated = [value for index, value in enumerate(values) if value in values[:index]]
            if repeated:
                raise ValueError(f"{repeated[0]!r} is listed twice")
            return values

        return core_schema.no_info_before_validator_function(
            expand, core_schema.no_info_after_validator_function(distinct, handler(source))
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


def _from_list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Item = TypeVar("Item")
Many = Annotated[tuple[Item, ...], BeforeValidator(_from_list)]
"""A tuple that is written as a list."""
Axis = Annotated[tuple[Item, ...], Field(min_length=1), OneOrMany()]
"""One item or a list of distinct ones: one dimension of a grid."""
