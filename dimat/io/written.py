"""What people write: YAML or JSON in which every text has one meaning, or is refused with its line.

YAML 1.1, which PyYAML and Snakemake read, and YAML 1.2 differ: `yes`, `010`, `1_000`, `12:30` and `1e-3` are
other things in the one than in the other. Such texts are refused, and so are keys that are written twice, of
which PyYAML silently takes the last.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from dimat.errors import InputError

MOST_BYTES = 16_000_000
"""Of a file; a configuration has a few thousand."""
MOST_VALUES = 100_000
"""In a text with all aliases written out: a few lines of them can stand for billions."""
MOST_DIGITS = 400
"""Of a number; no float has more."""
PREFIX = "tag:yaml.org,2002:"
KINDS = {
    "null": "nothing",
    "bool": "a truth value",
    "int": "a number",
    "float": "a number",
    "timestamp": "a date",
    "str": "text",
}
"""What readers call the kinds of plain texts."""
CORE = {
    "null": re.compile(r"null|Null|NULL|~|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "float": re.compile(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
}
"""Plain texts of YAML 1.2 (core schema) that are no text."""


def read_written(path: Path) -> Any:
    """The content of a YAML or JSON file; `InputError` names the file, and the line where there is one."""
    return parse_written(read_text(path, "a file of YAML or JSON"), str(path))


def read_text(path: Path, expected: str) -> str:
    """A file of UTF-8, with or without a byte-order mark; `InputError` names it and what is ``expected``."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected {expected}") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}); expected {expected}") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"{path}: more than {MOST_BYTES // 10**6} MB; expected {expected}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise InputError(f"{path}, line {line}: byte {byte:#04x} is not UTF-8; expected {expected}") from None


def parse_written(text: str, name: str) -> Any:
    """The value of one document of YAML or JSON; messages start with ``name`` and the line."""
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_float=_finite, parse_constant=_finite)
        json.dumps(value, ensure_ascii=False).encode()  # ValueError for half a character
        return value
    except (ValueError, RecursionError):  # no JSON, or JSON with a fault, whose line YAML's reader knows
        return _Reader(name).value_of(text)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError if a key is written twice."""
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a key is written twice")
    return found


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is not finite")
    return number


class _Reader:
    """Values from YAML's nodes, with the lines and keys at which they stand."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sizes: dict[int, int] = {}

    def value_of(self, text: str) -> Any:
        try:
            node = self.only_document(text)
            if node is None:
                return None
            self.size(node, ())
            return self.value(node, "")
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise self.fault(line, f"character {error.character:#x} is not allowed; expected text") from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            said = " ".join(" ".join(filter(None, (error.context, error.problem))).split())
            said = "a tab where only spaces may be" if r"'\t'" in said else said
            raise self.fault(mark.line + 1 if mark else 1, f"not valid YAML: {said}") from None
        except RecursionError:
            raise InputError(f"{self.name}: nested too deeply; expected a few levels") from None

    def only_document(self, text: str) -> Node | None:
        loader = yaml.SafeLoader(text)
        first: Node | None = None
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            if first is not None:
                raise self.fault(line_of(node), "a second document starts; expected one in a file")
            first = node
        return first

    def fault(self, line: int, what: str) -> InputError:
        return InputError(f"{self.name}, line {line}: {what}")

    def size(self, node: Node, above: tuple[int, ...]) -> int:
        """Values that a node stands for, aliases written out; none is inside of itself."""
        if id(node) in above:
            raise self.fault(line_of(node), "an alias inside of what it stands for; expected one outside")
        if id(node) not in self.sizes:
            count = 1 + sum(self.size(part, (*above, id(node))) for part in _parts(node))
            if count > MOST_VALUES:
                raise self.fault(
                    line_of(node), f"stands for more than {MOST_VALUES:,} values; expected fewer aliases"
                )
            self.sizes[id(node)] = count
        return self.sizes[id(node)]

    def value(self, node: Node, key: str) -> Any:
        if isinstance(node, ScalarNode):
            return self.scalar(node, key)
        kind = "seq" if isinstance(node, SequenceNode) else "map"
        if node.tag != PREFIX + kind:
            raise self.fault(line_of(node), f"{at(key)}the tag {node.tag!r} is not known; expected no tag")
        if isinstance(node, SequenceNode):
            return [self.value(item, f"{key}.{index}") for index, item in enumerate(node.value)]
        assert isinstance(node, MappingNode)
        return self.mapping(node, key)

    def mapping(self, node: MappingNode, above: str) -> dict[str, Any]:
        """The pairs of a mapping; those that `<<` merges into it yield to its own."""
        lines: dict[str, int] = {}
        own: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        for key_node, value_node in node.value:
            key, line = self.key(key_node, above), line_of(key_node)
            if key in lines:
                raise self.fault(
                    line, f"{full(above, key)}: written twice, first in line {lines[key]}; expected it once"
                )
            lines[key] = line
            if key_node.tag == PREFIX + "merge":
                merged += self.merged(value_node, above)
            else:
                own[key] = self.value(value_node, full(above, key))
        for each in merged:  # of several, the first wins
            own = {key: value for key, value in each.items() if key not in own} | own
        return own

    def merged(self, node: Node, above: str) -> Iterator[dict[str, Any]]:
        for part in node.value if isinstance(node, SequenceNode) else [node]:
            if not isinstance(part, MappingNode):
                raise self.fault(line_of(part), f"{full(above, '<<')}: expected a mapping or a list of them")
            yield self.mapping(part, above)

    def key(self, node: Node, above: str) -> str:
        key = self.value(node, above) if node.tag != PREFIX + "merge" else "<<"
        if not isinstance(key, str):
            found = shortened(node.value) if isinstance(node, ScalarNode) else f"a {type(key).__name__}"
            raise self.fault(line_of(node), f"{at(above)}expected a name as a key, got {found}")
        return key

    def scalar(self, node: ScalarNode, key: str) -> Any:
        """A quoted text as it is; a plain one by both versions of YAML, which must agree."""
        text, kind, line = node.value, node.tag.removeprefix(PREFIX), line_of(node)
        plain = node.style is None
        if plain and kind in ("merge", "value"):  # `<<` and `=` where they are no keys
            kind = "str"
        if kind not in KINDS or not (plain or kind == "str"):
            raise self.fault(line, f"{at(key)}the tag {node.tag!r} is not known; expected no tag")
        shown = shortened(text)
        if kind == "str" and not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise self.fault(line, f"{at(key)}{shown} holds half a character; expected text") from None
        if not plain:
            return text
        newer = next((name for name, form in CORE.items() if form.fullmatch(text)), "str")
        if {kind, newer} & {"int", "float"} and len(text) > MOST_DIGITS:
            raise self.fault(line, f"{at(key)}{shown} has too many digits; expected at most {MOST_DIGITS}")
        if kind != newer or (kind == "int" and re.match(r"[-+]?0[0-9]", text)):
            raise self.fault(line, f"{at(key)}{shown} is ambiguous: {told_apart(text, kind, newer)}")
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return int(text, 16 if "x" in text else 10)
        if kind == "float":
            number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            if not math.isfinite(number):
                raise self.fault(line, f"{at(key)}{shown} is not finite; expected a finite number")
            return number
        return text


def _parts(node: Node) -> Iterator[Node]:
    if isinstance(node, SequenceNode):
        yield from node.value
    elif isinstance(node, MappingNode):
        for pair in node.value:
            yield from pair


def told_apart(text: str, older: str, newer: str) -> str:
    """How YAML 1.1 and 1.2 read a plain ``text`` of the kinds ``older`` and ``newer``, and what to write."""
    if older == newer:  # a number that starts with 0
        said = f"{int(text, 8)} in YAML 1.1, {int(text)} in 1.2"
    else:
        said = f"{KINDS[older]} in YAML 1.1, {KINDS[newer]} in 1.2"
    choices = [plain] if (plain := as_both_read(text, older, newer)) else []
    return f"{said}; expected {', or '.join([*choices, f'{json.dumps(text)} for the text'])}"


def as_both_read(text: str, older: str, newer: str) -> str | None:
    """What was probably meant by an ambiguous ``text``, as both versions of YAML read it."""
    if older == "bool":
        return "true" if text.lower() in ("yes", "on") else "false"
    if newer not in ("int", "float") and (older not in ("int", "float") or ":" in text):
        return None
    digits = text.replace("_", "")
    if prefix := re.match(r"[-+]?0([box])", digits):
        return str(int(digits, {"b": 2, "o": 8, "x": 16}[prefix[1]]))
    if "int" in (older, newer):
        return str(int(digits))
    number = repr(float(digits))
    if "inf" in number:
        return None
    return number if "e" not in number or "." in number else number.replace("e", ".0e")


def line_of(node: Node) -> int:
    """The line at which a node starts, from 1."""
    return node.start_mark.line + 1


def full(above: str, key: str) -> str:
    """A key with those above it."""
    return f"{above}.{key}".removeprefix(".")


def at(key: str) -> str:
    """A key as the start of a message."""
    return f"{key.removeprefix('.')}: " if key else ""


def shortened(text: str) -> str:
    """A text in quotes, its middle left out if it is long."""
    return repr(text) if len(text) <= 60 else f"{text[:28]!r}...{text[-28:]!r}"
