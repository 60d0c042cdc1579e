"""Published numbers, from reference.csv, and the cells of a study that they belong to.

A row says its setting by the keys of the configuration, so that it finds its cells whatever these are called.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from dimat.errors import InputError
from dimat.experiment.config import Experiment, Study
from dimat.experiment.reading import describe, shown
from dimat.experiment.runs import Run
from dimat.experiment.words import said
from dimat.io.files import read_bytes
from paper.comparisons import distinct, like

if TYPE_CHECKING:
    from pandas import DataFrame, Series

FILE = Path(__file__).with_name("reference.csv")
COLUMNS = ("source", "quantity", "value", "deviation", "seeds")
"""What a row says beside its setting: who published it, of when it is, the number, its spread over seeds."""
SETTING = ("data.name", "model.name", "agents", "partition.name", "graph.name", "method.name")
"""Keys that every row says."""
ALIKE = ("task", "partition", "graph", "method", "matching")
"""Parts of the configuration of which all that a row says must be so in its cells; so must `SETTING`.

What else it says, such as ``model.width`` or ``training.rounds``, may differ in a cell, and is then said."""
WHOLE = ("data.train_limit", "data.test_limit", "data.size")
"""Keys that make data smaller: published numbers are of whole data sets, unless a row says otherwise."""
QUANTITY = re.compile(r"final|peak|merge [1-9][0-9]{0,5}")


@dataclass(frozen=True)
class Published:
    """A published number, in the unit of the primary metric: a mean over agents, then over seeds."""

    source: str
    quantity: str
    """``final`` (after the last merge), ``peak`` (of all merges), or ``merge N``."""
    value: float
    deviation: float | None
    """Standard deviation over seeds; `None` if it is not known."""
    seeds: int | None
    keys: Mapping[str, str]
    """Its setting: parameters as in `Run.parameters`, those that it says."""

    def of(self, ours: Mapping[str, str]) -> bool:
        """Whether a run of these parameters is in a cell of this number."""
        same = {key: value for key, value in self.keys.items() if key in SETTING or _part(key) in ALIKE}
        return all(ours.get(key, value) == value for key, value in same.items())

    def differing(self, run: Run, seeds: int, data: str) -> list[str]:
        """In words, in what a cell differs from what was published; ``data`` describe the images read."""
        ours = run.parameters()
        found = [
            f"{said(key, ours[key])}, not {said(key, value)}"
            for key, value in self.keys.items()
            if key in ours and ours[key] != value
        ]
        found += [said(key, ours[key]) for key in WHOLE if key in ours and key not in self.keys]
        if "JPEG" in data:
            found.append("JPEG images")
        if self.seeds is not None and seeds != self.seeds:
            found.append(f"{seeds} seeds, not {self.seeds}")
        return found

    def text(self) -> str:
        """The number with its deviation."""
        return f"{self.value:.2f}" + ("" if self.deviation is None else f" ± {self.deviation:.2f}")


class Joined(NamedTuple):
    """A published number and a cell of a study: ids of the runs that differ in nothing but the seed."""

    published: Published
    ids: tuple[str, ...]
    """None if the study does not have it."""


def published(path: Path | None = None) -> tuple[Published, ...]:
    """All rows of a file, by default `FILE`; `InputError` names the row and what is wrong with it."""
    path = path or FILE
    try:
        return _parsed(read_bytes(path).decode("utf-8-sig"), str(path))
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected text in UTF-8") from None


def joined(study: Study, rows: Iterable[Published]) -> list[Joined]:
    """Each row with every cell of the study that it belongs to, and once without any if there is none."""
    cells: dict[str, list[str]] = {}
    for id, run in study.runs.items():
        cells.setdefault(like(run, seed=0).id, []).append(id)
    parameters = {cell: study.runs[ids[0]].parameters() for cell, ids in cells.items()}
    found = []
    for row in rows:
        own = [tuple(ids) for cell, ids in cells.items() if row.of(parameters[cell])]
        found += [Joined(row, ids) for ids in own or [()]]
    return found


def any_of(study: Study, rows: Iterable[Published]) -> bool:
    """Whether a study has a cell of any row."""
    rows = tuple(rows)
    return any(row.of(ours) for ours in (run.parameters() for run in study.runs.values()) for row in rows)


def measured(row: Published, rounds: "DataFrame") -> "Series":
    """The same quantity of runs, from the metric by run and round; what a run does not have is left out."""
    merges = rounds.drop(columns=0, errors="ignore")  # before the first
    if row.quantity == "final":
        found = merges.ffill(axis="columns").iloc[:, -1]
    elif row.quantity == "peak":
        found = merges.max(axis="columns")
    else:
        found = merges.reindex(columns=[int(row.quantity.removeprefix("merge "))]).iloc[:, 0]
    return found.dropna()


def in_deviations(row: Published, mean: float) -> str:
    """The difference of a mean of ours, in units of the published deviation."""
    return "" if row.deviation is None else f"{(mean - row.value) / row.deviation:+.1f}"


def beside(study: Study, rounds: "DataFrame") -> "DataFrame":
    """For each run of a cell with a published final number: that, and ours in deviations from it, as text.

    Columns ``published`` and ``z``; without columns if there is no such run among those of ``rounds``.
    """
    import pandas

    said: dict[str, dict[str, list[str]]] = {}
    for row, ids in joined(study, published()):
        here = rounds.loc[[id for id in ids if id in rounds.index]]
        if row.quantity == "final" and len(here):
            z = in_deviations(row, measured(row, here).mean())
            for id in here.index:
                texts = said.setdefault(id, {"published": [], "z": []})
                texts["published"].append(row.text())
                texts["z"].append(z)
    texts = {id: {name: "; ".join(each) for name, each in found.items()} for id, found in said.items()}
    return pandas.DataFrame.from_dict(texts, orient="index").reindex(rounds.index).fillna("")


def said_beside(study: Study) -> str:
    """For captions of tables that show `beside`."""
    if not any_of(study, (row for row in published() if row.quantity == "final")):
        return ""
    return " Published: final numbers of others, with z, ours in units of their deviation from them."


def only(texts: "Series") -> str:
    """What a cell says of texts that are the same for all of its runs."""
    return "; ".join(distinct(texts))


@cache
def _parsed(text: str, name: str) -> tuple[Published, ...]:
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise InputError(f"{name}: line {reader.line_num}: {error}; expected CSV") from None
    if not rows:
        raise InputError(f"{name}: nothing in it; expected columns {', '.join(COLUMNS + SETTING)}")
    (_, header), *rows = rows
    _check_columns(
        name, header, {column for _, row in rows for column, text in zip(header, row, strict=False) if text}
    )
    found: dict[tuple[Any, ...], int] = {}
    numbers = []
    for line, row in rows:
        try:
            if len(row) != len(header):
                raise InputError(f"expected {len(header)} values, got {len(row)}")
            number = _published(dict(zip(header, (each.strip() for each in row), strict=True)))
            key = (number.source, number.quantity, *sorted(number.keys.items()))
            if (first := found.setdefault(key, line)) != line:
                raise InputError(
                    f"the same source, quantity and setting as in line {first}; expected one row"
                )
        except InputError as error:
            raise InputError(f"{name}: line {line}: {error}") from None
        numbers.append(number)
    return tuple(numbers)


def _check_columns(name: str, header: list[str], used: set[str]) -> None:
    """`InputError` names a column; keys that are ``used`` are checked with the rows that use them."""
    for place, column in enumerate(header):
        known = _part(column) in Experiment.model_fields and (column in used or column in _known_keys())
        if column not in COLUMNS and not known:
            raise InputError(
                f"{name}: line 1: {column!r} is an unknown column; expected {', '.join(COLUMNS)} or a key of "
                f"the configuration such as {', '.join(SETTING)}"
            )
        if column in header[:place]:
            raise InputError(f"{name}: line 1: the column {column!r} is there twice; expected one")
    for column in (*COLUMNS, *SETTING):
        if column not in header:
            raise InputError(f"{name}: line 1: the column {column!r} is missing")


def _published(row: Mapping[str, str]) -> Published:
    """One row, checked."""
    for column in ("source", "quantity", "value", *SETTING):
        if not row[column]:
            raise InputError(f"{column}: missing; expected a value")
    if not QUANTITY.fullmatch(row["quantity"]):
        raise InputError(f"quantity: expected final, peak or merge N, got {shown(row['quantity'])}")
    deviation = _number("deviation", row["deviation"])
    if deviation is not None and deviation <= 0:
        raise InputError(f"deviation: expected a number above 0 or nothing, got {shown(row['deviation'])}")
    if row["seeds"] and not re.fullmatch(r"[1-9][0-9]{0,5}", row["seeds"]):
        raise InputError(f"seeds: expected a whole number from 1 or nothing, got {shown(row['seeds'])}")
    value = _number("value", row["value"])
    assert value is not None
    said = {key: text for key, text in row.items() if key not in COLUMNS and text}
    run = _run(said)
    parameters = run.parameters()
    for key, text in said.items():
        if key not in parameters and text != "null" and any(_part(each) == _part(key) for each in parameters):
            raise InputError(
                f"{key}: {shown(text)} is no value of one key; expected a key such as {key}.name"
            )
    keys = {key: parameters[key] for key in said if key in parameters}
    seeds = int(row["seeds"]) if row["seeds"] else None
    return Published(row["source"], row["quantity"], value, deviation, seeds, keys)


def _number(name: str, text: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{name}: expected a finite number, got {shown(text)}")
    return number


def _run(said: Mapping[str, str]) -> Run:
    """A run with what a row says, and defaults for all else; `InputError` if there can be none."""
    content: dict[str, Any] = {"seeds": 0}
    for key, text in sorted(said.items()):
        *above, last = key.split(".")
        part = content
        for name in above:
            part = part.setdefault(name, {})
            if not isinstance(part, dict):
                raise InputError(f"{key}: the keys above it have a value of their own; expected one of both")
        part[last] = _value(text)
    try:
        runs = list(Experiment.model_validate(content).grid())
    except ValidationError as error:
        told = re.sub(r"^(\w+)\.0\b", r"\1", describe(error))  # axes are lists, of one value here
        raise InputError(told) from None
    if len(runs) != 1:
        raise InputError(f"expected one value for each key, got values for {len(runs)} runs")
    return runs[0]


def _value(text: str) -> Any:
    """A number, truth value or list as JSON has it; all else is text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _part(key: str) -> str:
    return key.partition(".")[0]


@cache
def _known_keys() -> frozenset[str]:
    """All keys of the grid with dots, whatever names they belong to; the schema takes a second to make."""
    schema = Experiment.model_json_schema()

    def below(path: str, field: Any, seen: tuple[str, ...]) -> Iterator[str]:
        yield path
        for name in _references(field):
            if name not in seen:  # a graph may hold graphs
                for key, value in schema["$defs"][name]["properties"].items():
                    yield from below(f"{path}.{key}", value, (*seen, name))

    fields = {key: field for key, field in schema["properties"].items() if key not in COLUMNS}
    return frozenset(path for key, field in fields.items() for path in below(key, field, ()))


def _references(field: Any) -> Iterator[str]:
    if isinstance(field, dict):
        if "$ref" in field:
            yield field["$ref"].rpartition("/")[2]
        field = [value for key, value in field.items() if key != "discriminator"]
    if isinstance(field, list):
        for each in field:
            yield from _references(each)
