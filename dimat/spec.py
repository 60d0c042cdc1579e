"""Building blocks of the typed configuration: strict specs, named choices and grid axes.

A *spec* is a frozen pydantic model. A *choice* is a registry: several specs told apart by their
``name``. Writing only the name in YAML (``graph: ring``) selects a spec with its defaults. An *axis* is
one value or a list of them, one dimension of an experiment's grid.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args

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


class Spec(BaseModel):
    """A frozen, strict piece of configuration: unknown keys and silent conversions are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        unknown = [key for key in value if key not in cls.model_fields] if isinstance(value, dict) else []
        if unknown:
            valid = ", ".join(cls.model_fields)
            raise PydanticCustomError(
                "unknown_key",
                "{key} is an unknown key; valid keys: {valid}",
                {"key": repr(unknown[0]), "valid": valid},
            )
        return value

    def label(self) -> str:
        """Short text for legends and tables: the name, and what differs from the defaults."""
        changed = [
            f"{key.replace('_', ' ')} {f'{value:g}' if isinstance(value, float) else value}"
            for key, value in self
            if key != "name" and value != type(self).model_fields[key].default
        ]
        return " ".join([getattr(self, "name", "").replace("_", " "), ", ".join(changed)]).strip()


@dataclass(frozen=True)
class _NameAlone:
    """Accept ``ring`` for ``{name: ring}``; ``names`` are those of specs that need nothing else."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def expand(value: Any) -> Any:
            return {"name": value} if isinstance(value, str) else value

        return core_schema.no_info_before_validator_function(expand, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict:
        return {"anyOf": [{"enum": list(self.names)}, handler(schema)]}


@dataclass(frozen=True)
class _OneOrMany:
    """Accept a single value for a list of one; refuse repetitions."""

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


def choice(*specs: type[Spec]) -> Any:
    """A type that accepts any of ``specs``, told apart by their ``name`` (a registry's public type)."""
    names = tuple(
        get_args(spec.model_fields["name"].annotation)[0]
        for spec in specs
        if not any(field.is_required() for key, field in spec.model_fields.items() if key != "name")
    )
    union = Annotated[Union[specs], Field(discriminator="name")] if len(specs) > 1 else specs[0]  # noqa: UP007
    return Annotated[union, _NameAlone(names)]


def sequence(item: Any) -> Any:
    """A tuple of ``item`` that is written as a list."""

    def from_list(value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    return Annotated[tuple[item, ...], BeforeValidator(from_list)]


def axis(item: Any) -> Any:
    """A type that accepts one ``item`` or a list of distinct ones: one dimension of a grid."""
    return Annotated[tuple[item, ...], Field(min_length=1), _OneOrMany()]
